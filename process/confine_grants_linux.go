package process

import (
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What every program of a machine may read: libraries, what names and times are looked up
// in, certificates that everybody trusts, what the kernel says of the machine. (Users may
// read no more than their rights allow: /etc/shadow stays root's.) The directories are
// granted, as most of these files are replaced by rename.
var readByAll = []string{
	"/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/local/lib", "/usr/local/lib64",
	"/nix/store", "/gnu/store",
	"/etc", "/usr/share/zoneinfo", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
	"/sys/devices/system", "/sys/kernel/mm", "/sys/fs/cgroup",
	"/dev/urandom", "/dev/random",
}

// linkedByAll are links whose ends are in directories that differ between machines.
var linkedByAll = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/localtime", "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/pki/tls/certs/ca-bundle.crt"}

// writtenByAll: of /proc the kernel lets nobody change but itself, and threads are called
// by names there.
var writtenByAll = []string{"/dev/null", "/dev/zero", "/dev/full", "/proc"}

// programDirs are where a script finds the programs that it is made of.
var programDirs = []string{"/bin", "/sbin", "/usr", "/opt", "/nix/store", "/gnu/store"}

// grants are all that a program needs.
func (c *Confinement) grants(program string) []grant {
	grants := executes(program)
	for _, path := range slices.Concat(readByAll, c.Read) {
		grants = append(grants, grant{path, mayRead})
	}
	for _, link := range linkedByAll {
		if end, err := filepath.EvalSymlinks(link); err == nil {
			grants = append(grants, grant{filepath.Dir(end), mayRead})
		}
	}
	for _, path := range writtenByAll {
		grants = append(grants, grant{path, mayRead | mayChange})
	}
	for _, path := range c.Write {
		grants = append(grants, grant{path, mayWrite})
	}
	return grants
}

// executes are what must be executed to start a program: its file, and the one that loads
// its libraries. A script starts others: those that it names by their paths, and those in
// the usual places.
func executes(program string) []grant {
	grants := []grant{{program, mayExecute}}
	f, err := OpenRegular(program)
	if err != nil {
		return grants // the start will say what is wrong
	}
	defer func() { _ = f.Close() }()
	text := make([]byte, maxScript)
	n, _ := io.ReadFull(f, text) // it is shorter
	if text = text[:n]; !strings.HasPrefix(string(text), "#!") {
		return append(grants, loaderOf(f)...)
	}
	for _, dir := range append([]string{filepath.Dir(program)}, programDirs...) {
		grants = append(grants, grant{dir, mayExecute | mayRead})
	}
	return slices.Concat(grants, namedIn(text), loaders())
}

// namedIn are the programs that a script names by their paths.
func namedIn(script []byte) (grants []grant) {
	taken := 0
	for _, path := range absolutePath.FindAllString(string(script), maxWords) {
		named, err := OpenRegular(path)
		if err != nil {
			continue
		}
		grants = append(append(grants, grant{path, mayExecute}), loaderOf(named)...)
		_ = named.Close()
		if taken++; taken == maxNamed {
			break
		}
	}
	return grants
}

// How much of a script is read, how much in it that looks like a path is looked up, and how
// many of those are taken for programs: its author may be anybody.
const (
	maxScript = 64 << 10
	maxWords  = 1024
	maxNamed  = 64
)

// absolutePath is one as it stands in a script.
var absolutePath = regexp.MustCompile("/[^\\s\"'`;|&()<>$*?\\\\]+")

// loaderOf is what a program names as its interpreter; nothing for one that needs none.
func loaderOf(f io.ReaderAt) []grant {
	if name := interpreterOf(f); name != "" {
		return []grant{{name, mayExecute}}
	}
	return nil
}

// loaders are those of the machine.
func loaders() []grant {
	var grants []grant
	for _, pattern := range []string{"/lib/ld-*", "/lib64/ld-*", "/lib/*/ld-*"} {
		paths, _ := filepath.Glob(pattern) // the patterns are good
		for _, path := range paths {
			grants = append(grants, grant{path, mayExecute})
		}
	}
	return grants
}
