package badger

import (
	"syscall"
	"time"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// reserve is what is left of a disk for the database itself, which writes its
// tables through mapped memory: where that finds no room, the process ends.
const reserve = 128 << 20

// A room watches how much room there is on a disk.
type room struct {
	free    func(dir string) (int64, error)
	checked time.Time
	full    bool
}

// check refuses changes that write while the disk is almost full. Others may
// make room.
func (r *room) check(dir string, changes []xdb.Change) error {
	if now := time.Now(); now.Sub(r.checked) > time.Second {
		r.checked = now
		free, err := r.free(dir)
		if err != nil {
			return err
		}
		r.full = free < reserve
	}
	if !r.full {
		return nil
	}
	for i := range changes {
		if changes[i].Op != xdb.Delete {
			return xdb.TooLarge("the disk is almost full")
		}
	}
	return nil
}

// diskFree returns how many bytes there are for us on the disk of a folder.
func diskFree(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
