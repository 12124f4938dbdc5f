package envoy

import (
	"encoding/binary"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
)

// Envoy calls its sockets otherwise when ten times the number overflows an int.
func TestBaseID(t *testing.T) {
	for i := range 1000 {
		must.LessEq(t, math.MaxInt32, 10*int(baseID(strconv.Itoa(i)))+9)
	}
}

func TestSharedMemory(t *testing.T) {
	shared := SharedMemoryOf(t.TempDir())
	t.Cleanup(func() { must.NoError(t, shared.Remove()) })
	must.NoError(t, shared.Claim(process.User{}))
	must.NoError(t, shared.Claim(process.User{}), must.Sprint("it is of an earlier run"))
	must.ErrorIs(t, shared.ClearInitializing(), ErrUnknownLayout)

	memory := make([]byte, sharedSize)
	binary.NativeEndian.PutUint64(memory, sharedSize)
	binary.NativeEndian.PutUint64(memory[sharedVersionAt:], sharedVersion)
	memory[sharedFlagsAt] = 1
	must.NoError(t, os.WriteFile(string(shared), memory, 0o600))
	must.NoError(t, shared.ClearInitializing())
	now, err := os.ReadFile(string(shared))
	must.NoError(t, err)
	memory[sharedFlagsAt] = 0
	must.Eq(t, memory, now)
	must.NoError(t, shared.Remove())
	must.NoError(t, shared.Remove(), must.Sprint("there is none"))
	must.Error(t, shared.ClearInitializing())
}
