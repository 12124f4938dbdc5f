package process

import (
	"fmt"
	"os"
	"strings"
)

// BootID is that of the boot of the machine in which this process runs.
func BootID() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	return strings.TrimSpace(string(boot)), nil
}
