package process

import "os"

// BootID is that of the boot in which this very process runs, as Identity has it.
func BootID() (string, error) {
	self, err := identify(os.Getpid())
	return self.BootID, err
}
