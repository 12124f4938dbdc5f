package fake

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
)

// The memory that generations share, as Envoy lays it out.
const (
	memorySize      = 104
	memoryVersion   = 11
	memoryVersionAt = 8
	memoryFlagsAt   = 96
)

// initMemory makes the memory that generations share, or looks whether the one
// before is still about to initialize, as Envoy does.
func (g *generation) initMemory() error {
	if g.epoch == 0 {
		if err := os.Remove(g.memory()); err != nil {
			return err
		}
		memory := make([]byte, memorySize)
		binary.NativeEndian.PutUint64(memory, memorySize)
		binary.NativeEndian.PutUint64(memory[memoryVersionAt:], memoryVersion)
		return errors.Join(os.WriteFile(g.memory(), memory, 0o600), g.flagMemory(1))
	}
	memory, err := os.ReadFile(g.memory())
	if err == nil && memory[memoryFlagsAt] != 0 {
		err = errors.New("previous envoy process is still initializing")
	}
	return errors.Join(err, g.flagMemory(1))
}

// flagMemory says whether a generation is about to initialize.
func (g *generation) flagMemory(value byte) error {
	f, err := os.OpenFile(g.memory(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{value}, memoryFlagsAt)
	return errors.Join(err, f.Close())
}

func (g *generation) memory() string {
	return filepath.Join("/dev/shm", "envoy_shared_memory_"+flagOf(g.args, "--base-id")+"0")
}
