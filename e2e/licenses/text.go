package main

import (
	"fmt"
	"slices"
	"strings"
)

// marks are sentences by which a licence is told, the more special ones first.
var marks = []struct {
	spdx string
	all  []string
}{
	{"BUSL-1.1", []string{"business source license 1.1"}},
	{"MPL-2.0", []string{"mozilla public license", "2.0"}},
	{"Apache-2.0 AND MIT", []string{"apache license", "version 2.0", "covered by two different licenses"}},
	{"Apache-2.0", []string{"apache license", "version 2.0"}},
	{"BSD-3-Clause OR GPL-2.0-only", []string{"redistributions in binary form must reproduce", "alternatively", "gnu general public license"}},
	{"BSD-3-Clause", []string{"redistributions in binary form must reproduce", "neither the name"}},
	{"BSD-2-Clause", []string{"redistributions in binary form must reproduce"}},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose"}},
	{"MIT", []string{"permission is hereby granted, free of charge"}},
}

// identify gives the SPDX expression of the licence files of a directory.
func identify(files []file) (string, error) {
	var found []string
	for _, f := range files {
		text := strings.ToLower(strings.Join(strings.Fields(f.Text), " "))
		spdx := ""
		for _, m := range marks {
			if !slices.ContainsFunc(m.all, func(s string) bool { return !strings.Contains(text, s) }) {
				spdx = m.spdx
				break
			}
		}
		if spdx == "" {
			return "", fmt.Errorf("%s is of a kind that is not known here; read it, and add it to text.go or drop the module", f.Name)
		}
		if !slices.Contains(found, spdx) {
			found = append(found, spdx)
		}
	}
	slices.Sort(found)
	return strings.Join(found, " AND "), nil
}
