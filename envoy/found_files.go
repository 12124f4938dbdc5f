package envoy

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// finder looks for what named files are on this machine. It tells where it is, as a file
// system may never answer.
type finder struct {
	run sidecar.Run
	at  func(path string) error
}

// find gives the paths to grant for files, and for those that they name.
func find(files namedFiles, run sidecar.Run) (namedFiles, error) {
	return process.AskFiles(func(at func(string) error) (found namedFiles, err error) {
		f := finder{run: run, at: at}
		if files, err = f.follow(files); err != nil {
			return found, err
		}
		if found.read, err = f.existing(files.read); err != nil {
			return found, err
		}
		found.write, err = f.existing(files.write)
		return found, err
	})
}

// maxLists is how deep lists are followed: those of clusters name those of endpoints.
const maxLists = 3

// follow adds what is named in lists of listeners, clusters and the like. Envoy reads them
// anew when they change; what they name then is known at the next hot restart.
func (f finder) follow(files namedFiles) (namedFiles, error) {
	next := files
	for range maxLists {
		var listed namedFiles
		for _, list := range next.lists {
			content, err := f.read(list)
			if err != nil {
				return files, err
			}
			listed = listed.with(bootstrapFiles(content).from(f.run.Dir))
		}
		files, next = files.with(listed), listed
	}
	return files, nil
}

// read gives nothing of a file that the proxy's user may not read, or that is none.
func (f finder) read(path string) (content []byte, err error) {
	if err := f.at(path); err != nil {
		return nil, err
	}
	_ = process.AsUser(f.run.User, func() error { // Envoy will say what is wrong
		file, err := process.OpenRegular(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		content, err = io.ReadAll(io.LimitReader(file, maxBootstrap))
		return err
	})
	content, _ = bootstrap.JSON(content)
	return content, nil
}

// existing are the paths to grant for files: each itself, with its directory and the one
// that it links to, since files are replaced by others of the same name. Where there is
// no such directory yet, it is the one above. A directory stands for all below it. What
// a process has open already, as /dev/stdout, is another file for Envoy than for us.
func (f finder) existing(files []string) ([]string, error) {
	var paths []string
	for _, file := range files {
		if !filepath.IsAbs(file) {
			continue // it is nowhere
		}
		if err := f.at(file); err != nil {
			return nil, err
		}
		end, isDir, err := process.FollowLinks(file)
		switch {
		case errors.Is(err, unix.ELOOP), end == "/":
		case isDir:
			paths = append(paths, file)
		case err == nil:
			paths = append(paths, file, directory(file), directory(end))
		default:
			paths = append(paths, file, directory(file))
		}
	}
	paths = slices.DeleteFunc(paths, func(path string) bool { return path == "" })
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// directory is the nearest one above a file; empty for those that are of everybody.
func directory(file string) string {
	dir := filepath.Dir(filepath.Clean(file))
	for !exists(dir) {
		dir = filepath.Dir(dir)
	}
	if dir == "/" || dir == "/dev" || dir == "/proc" || strings.HasPrefix(dir, "/proc/") {
		return ""
	}
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
