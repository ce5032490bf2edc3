package command

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/setting"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// settings is jabberd config: what configuration a server runs with.
func settings() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "config [NAME]...", Short: "Show the configuration that a running server has",
		Long: `Show the configuration that a running server has, in its canonical form: includes
put together, variables, env() and file() worked out, secrets as "***", each block
with the place that it comes from. With NAMES only engine, plugin/NAME, process/NAME
or section/ID; the id of a section will do.

Modules read the same through xdb: namespace "` + setting.NS + `" of the owner ` + packet.ServerHost + `.`,
		Example: "  jabberd config section/c2s",
	}
	socket := socketOf(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	read := func(cmd *cobra.Command) ([]module.Setting, error) {
		return setting.Read(cmd.Context(), xdb.New(server.Dial(*socket), "jabberd config"))
	}
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		list, err := read(cmd)
		if err != nil {
			return err
		}
		if list, err = chosen(list, names); err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), list)
		}
		return printSettings(cmd.OutOrStdout(), list)
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, names []string, _ string) ([]string, cobra.ShellCompDirective) {
		list, _ := read(cmd) // without a server there is nothing to complete
		var keys []string
		for _, s := range list {
			if !slices.Contains(names, s.Key) {
				keys = append(keys, s.Key+"\t"+s.Place)
			}
		}
		return keys, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// chosen returns the settings of names, all without any.
func chosen(list []module.Setting, names []string) ([]module.Setting, error) {
	if len(names) == 0 {
		return list, nil
	}
	var some []module.Setting
	for _, name := range names {
		i := slices.IndexFunc(list, func(s module.Setting) bool { return s.Key == name || s.Key == "section/"+name })
		if i < 0 {
			return nil, fmt.Errorf("the running configuration has no %q; jabberd config shows all of it", name)
		}
		some = append(some, list[i])
	}
	return some, nil
}

// printSettings writes settings as a configuration file.
func printSettings(w io.Writer, list []module.Setting) error {
	var text []string
	for _, s := range list {
		text = append(text, s.HCL)
	}
	_, err := io.WriteString(w, strings.Join(text, "\n"))
	return err
}
