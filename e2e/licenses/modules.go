package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is one that the driver is linked with, and the licences of its packages.
type module struct {
	Path, Version string
	Licenses      []license
}

// license is what the licence files of a folder say, and for which packages.
type license struct {
	SPDX     string
	Folder   string // within the module; empty for all of it that no other folder is of
	Files    []file
	Packages []string // import paths
}

type file struct{ Name, Text string }

// goPackage is what the Go tool says of one.
type goPackage struct {
	ImportPath, Dir string
	Module          *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// linked are the modules of all packages that the program in dir is linked with, but its
// own and Go's.
func linked(ctx context.Context, dir string) ([]module, error) {
	packages, err := listPackages(ctx, dir)
	if err != nil {
		return nil, err
	}
	byPath := map[string]*module{}
	for _, p := range packages {
		if p.Module == nil || p.Module.Main {
			continue
		}
		m, ok := byPath[p.Module.Path]
		if !ok {
			m = &module{Path: p.Module.Path, Version: p.Module.Version}
			byPath[m.Path] = m
		}
		if err := m.add(p); err != nil {
			return nil, err
		}
	}
	var modules []module
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		modules = append(modules, *byPath[path])
	}
	return modules, nil
}

// listPackages asks for what `make build` builds.
func listPackages(ctx context.Context, dir string) ([]goPackage, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Dir,Module", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ask the Go tool what is linked: %w: %s", err, stderr.Bytes())
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// add notes the licence of one of the module's packages.
func (m *module) add(p goPackage) error {
	dir, files, err := nearest(p.Dir, p.Module.Dir)
	if err != nil {
		return fmt.Errorf("find the licence of %s: %w", p.ImportPath, err)
	}
	folder := strings.TrimPrefix(strings.TrimPrefix(dir, p.Module.Dir), "/")
	i := slices.IndexFunc(m.Licenses, func(l license) bool { return l.Folder == folder })
	if i >= 0 {
		m.Licenses[i].Packages = append(m.Licenses[i].Packages, p.ImportPath)
		return nil
	}
	spdx, err := identify(files)
	if err != nil {
		return fmt.Errorf("read the licence of %s: %w", p.ImportPath, err)
	}
	m.Licenses = append(m.Licenses, license{SPDX: spdx, Folder: folder, Files: files, Packages: []string{p.ImportPath}})
	slices.SortFunc(m.Licenses, func(a, b license) int { return cmp.Compare(a.Folder, b.Folder) })
	return nil
}

// licenseFile is how the files are called that hold a licence.
var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying)([-._].*)?$`)

// nearest are the licence files of the innermost directory that has any, from dir up to root.
func nearest(dir, root string) (of string, files []file, err error) {
	for ; ; dir = filepath.Dir(dir) {
		if files, err = licenseFiles(dir); err != nil || len(files) > 0 {
			return dir, files, err
		}
		if dir == root {
			return "", nil, fmt.Errorf("there is no licence file in %s", root)
		}
	}
}

func licenseFiles(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		if !e.Type().IsRegular() || !licenseFile.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, file{e.Name(), string(text)})
	}
	return files, nil
}
