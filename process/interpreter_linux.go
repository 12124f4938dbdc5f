package process

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// A program may be a job's own file, made to be misread: no more than a few kilobytes of it
// are read, whatever sizes it gives. (The library for such files trusts them.)

// maxProgramHeaders is far more than programs have.
const maxProgramHeaders = 64

// interpreterOf is the path of what loads the libraries of a program, where its own headers
// name one; empty for none. As everywhere here, the machine's byte order is little-endian.
func interpreterOf(f io.ReaderAt) string {
	var ident [elf.EI_NIDENT]byte
	if _, err := f.ReadAt(ident[:], 0); err != nil || !bytes.HasPrefix(ident[:], []byte(elf.ELFMAG)) || elf.Data(ident[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return ""
	}
	switch elf.Class(ident[elf.EI_CLASS]) {
	case elf.ELFCLASS64:
		var h elf.Header64
		if !readAt(f, 0, &h) {
			return ""
		}
		return interpreterIn(f, h.Phoff, h.Phentsize, h.Phnum, func(p elf.Prog64) elf.ProgHeader {
			return elf.ProgHeader{Type: elf.ProgType(p.Type), Off: p.Off, Filesz: p.Filesz}
		})
	case elf.ELFCLASS32:
		var h elf.Header32
		if !readAt(f, 0, &h) {
			return ""
		}
		return interpreterIn(f, uint64(h.Phoff), h.Phentsize, h.Phnum, func(p elf.Prog32) elf.ProgHeader {
			return elf.ProgHeader{Type: elf.ProgType(p.Type), Off: uint64(p.Off), Filesz: uint64(p.Filesz)}
		})
	default:
		return ""
	}
}

// interpreterIn looks for it in the program's headers, n of a size each.
func interpreterIn[P elf.Prog32 | elf.Prog64](f io.ReaderAt, offset uint64, size, n uint16, header func(P) elf.ProgHeader) string {
	parts := make([]P, min(n, maxProgramHeaders))
	if int(size) != binary.Size(*new(P)) || !readAt(f, offset, parts) {
		return ""
	}
	for _, part := range parts {
		if h := header(part); h.Type == elf.PT_INTERP {
			return nameAt(f, h.Off, h.Filesz)
		}
	}
	return ""
}

// nameAt reads a path that ends with a zero byte; the kernel takes none that is longer than
// it lets paths be.
func nameAt(f io.ReaderAt, offset, size uint64) string {
	if size > unix.PathMax {
		return ""
	}
	name := make([]byte, size)
	if !readAt(f, offset, name) {
		return ""
	}
	path, _, _ := strings.Cut(string(name), "\x00")
	return path
}

// readAt fills a value of a fixed size.
func readAt(f io.ReaderAt, offset uint64, value any) bool {
	size := int64(binary.Size(value))
	if int64(offset) < 0 || int64(offset)+size < 0 {
		return false
	}
	return binary.Read(io.NewSectionReader(f, int64(offset), size), binary.LittleEndian, value) == nil
}
