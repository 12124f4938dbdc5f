package main

import (
	"fmt"
	"slices"
	"strings"
)

// table is the part of docs/licenses.md that follows from the modules.
func table(modules []module) string {
	var b strings.Builder
	b.WriteString("| module | version | licence |\n|---|---|---|\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.Path, m.Version, m.expressions())
	}
	return b.String()
}

// expressions are the licences of a module: that of its own, then those of folders that
// differ from it.
func (m module) expressions() string {
	var parts []string
	for _, spdx := range m.kinds() {
		var folders []string
		for _, l := range m.Licenses {
			if l.SPDX == spdx && l.Folder != "" {
				folders = append(folders, "`"+l.Folder+"`")
			}
		}
		part := spdx
		if len(parts) > 0 {
			part += " in " + strings.Join(folders, ", ")
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// kinds are the licences of a module, each once.
func (m module) kinds() []string {
	var kinds []string
	for _, l := range m.Licenses {
		if !slices.Contains(kinds, l.SPDX) {
			kinds = append(kinds, l.SPDX)
		}
	}
	return kinds
}

// notices are the licence texts, each with the modules that it is of.
func notices(modules []module) string {
	var texts []string
	of := map[string][]string{}
	for _, m := range modules {
		for _, l := range m.Licenses {
			for _, f := range l.Files {
				if of[f.Text] == nil {
					texts = append(texts, f.Text)
				}
				if name := m.Path + " " + m.Version; !slices.Contains(of[f.Text], name) {
					of[f.Text] = append(of[f.Text], name)
				}
			}
		}
	}
	var b strings.Builder
	b.WriteString("nomad-driver-connect is linked with these modules, whose licences follow.\n")
	for _, text := range texts {
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(of[text], "\n"), strings.TrimSpace(text))
	}
	return b.String()
}
