package process

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// Our reader and the library for such files find the same interpreter in the machine's programs.
func TestInterpreterOf(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/bin/sh", "/proc/self/exe", "/bin/ls"} {
		f, err := os.Open(path)
		must.NoError(t, err)
		defer func() { _ = f.Close() }()
		program, err := elf.NewFile(f)
		must.NoError(t, err)
		want := ""
		for _, part := range program.Progs {
			if part.Type == elf.PT_INTERP {
				name := make([]byte, part.Filesz)
				_, err := part.ReadAt(name, 0)
				must.NoError(t, err)
				want = strings.TrimRight(string(name), "\x00")
			}
		}
		must.Eq(t, want, interpreterOf(f), must.Sprint(path))
	}
}

// programOf is a 64-bit program with a header for each part.
func programOf(t *testing.T, change func(*elf.Header64), parts ...elf.Prog64) *bytes.Buffer {
	t.Helper()
	header := elf.Header64{Phoff: uint64(binary.Size(elf.Header64{})), Phentsize: uint16(binary.Size(elf.Prog64{})), Phnum: uint16(len(parts))}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)
	change(&header)
	program := &bytes.Buffer{}
	must.NoError(t, binary.Write(program, binary.LittleEndian, header))
	must.NoError(t, binary.Write(program, binary.LittleEndian, parts))
	_, _ = program.WriteString("/lib/ld.so\x00rest")
	return program
}

// A program that gives sizes and places to be believed by nobody names no interpreter.
func TestInterpreterOf_hostile(t *testing.T) {
	t.Parallel()
	const far = 1 << 62
	nothing := func(*elf.Header64) {}
	at := uint64(binary.Size(elf.Header64{}) + binary.Size(elf.Prog64{}))
	named := elf.Prog64{Type: uint32(elf.PT_INTERP), Off: at, Filesz: 11}
	for name, tc := range map[string]struct {
		change func(*elf.Header64)
		part   elf.Prog64
		want   string
	}{
		"one":               {nothing, named, "/lib/ld.so"},
		"sections far away": {func(h *elf.Header64) { h.Shoff, h.Shnum, h.Shentsize, h.Shstrndx = far, 0xffff, 64, 1 }, named, "/lib/ld.so"},
		"headers far away":  {func(h *elf.Header64) { h.Phoff = far }, named, ""},
		"before the file":   {func(h *elf.Header64) { h.Phoff = 1<<64 - 8 }, named, ""},
		"at the last byte":  {func(h *elf.Header64) { h.Phoff = 1<<63 - 1 }, named, ""},
		"too many headers":  {func(h *elf.Header64) { h.Phnum = 0xffff }, named, ""},
		"large headers":     {func(h *elf.Header64) { h.Phentsize = 0xffff }, named, ""},
		"the other order":   {func(h *elf.Header64) { h.Ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB) }, named, ""},
		"no class":          {func(h *elf.Header64) { h.Ident[elf.EI_CLASS] = 7 }, named, ""},
		"a long name":       {nothing, elf.Prog64{Type: uint32(elf.PT_INTERP), Off: at, Filesz: 50 << 30}, ""},
		"a name far away":   {nothing, elf.Prog64{Type: uint32(elf.PT_INTERP), Off: far, Filesz: 11}, ""},
		"a name of nothing": {nothing, elf.Prog64{Type: uint32(elf.PT_INTERP), Off: at}, ""},
	} {
		must.Eq(t, tc.want, interpreterOf(bytes.NewReader(programOf(t, tc.change, tc.part).Bytes())), must.Sprint(name))
	}
	must.Eq(t, "", interpreterOf(strings.NewReader("")))
	must.Eq(t, "", interpreterOf(strings.NewReader(elf.ELFMAG)))
}

// A file of fifty gigabytes, none of which are there, is read no further than its headers.
func TestInterpreterOf_sparse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sparse")
	program := programOf(t, func(h *elf.Header64) { h.Shoff, h.Shnum, h.Shentsize = 4096, 2, 64 }, elf.Prog64{})
	sections := []elf.Section64{{}, {Type: uint32(elf.SHT_STRTAB), Off: 8192, Size: 50 << 30}}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	must.NoError(t, err)
	defer func() { _ = f.Close() }()
	_, err = f.Write(program.Bytes())
	must.NoError(t, err)
	table := &bytes.Buffer{}
	must.NoError(t, binary.Write(table, binary.LittleEndian, sections))
	_, err = f.WriteAt(table.Bytes(), 4096)
	must.NoError(t, err)
	must.NoError(t, f.Truncate(51<<30))
	began := time.Now()
	must.SliceEmpty(t, loaderOf(f))
	must.Less(t, time.Second, time.Since(began))
}

// A script that is all paths has some of them taken.
func TestNamedIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := strings.Builder{}
	for i := range 2 * maxNamed {
		path := filepath.Join(dir, fmt.Sprint(i))
		must.NoError(t, os.WriteFile(path, nil, 0o700))
		_, _ = fmt.Fprintln(&script, path)
	}
	must.Eq(t, maxNamed, len(namedIn([]byte(script.String()))))
	must.Eq(t, 0, len(namedIn([]byte(strings.Repeat("/nowhere ", maxWords)+script.String()))))
}
