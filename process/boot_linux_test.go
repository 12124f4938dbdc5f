package process

import (
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// All processes of one boot have one ID.
func TestBootID(t *testing.T) {
	t.Parallel()
	kernels, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	must.NoError(t, err)
	boot, err := BootID()
	must.NoError(t, err)
	must.Eq(t, strings.TrimSpace(string(kernels)), boot)
}
