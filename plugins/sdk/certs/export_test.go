package certs

import "time"

// Age lets it be long ago that files were looked at.
func Age(s *Store) { s.looked.Store(0) }

// AgeAuthorities lets it be long ago that their file was looked at.
func AgeAuthorities(a *Authorities) { a.looked.Store(0) }

// Look looks at the files, now.
func Look(s *Store) { s.look(time.Now(), false) }
