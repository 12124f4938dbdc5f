package process

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Confinement is what a process may do of all that its user may: who takes it over has no
// more. It opens the files that are named here, and executes none but itself; it makes
// the system calls of a server. It takes nothing away from who may do less.
type Confinement struct {
	// Read are files, and directories with all below them; Write are those that it
	// may change, too, and make files and sockets in. Links are followed to their ends.
	// What is not there is passed over. What every program needs is not named.
	Read, Write []string

	// Required has the start fail where the kernel lacks a means.
	Required bool
}

// confine takes from the child what its confinement does not leave it.
func (b *birth) confine() error {
	if b.Confinement == nil {
		return nil
	}
	kernel := Confines()
	if lacks := kernel.Lacks(); lacks != "" && b.Confinement.Required {
		return fmt.Errorf("confine it: %s", lacks)
	}
	rules, err := b.ruleset()
	if err != nil {
		return err
	}
	if rules != nil {
		defer func() { _ = rules.Close() }()
		fd, err := b.hold(rules)
		if err != nil {
			return err
		}
		b.step(errLandlock, unix.SYS_LANDLOCK_RESTRICT_SELF, fd)
	}
	if kernel.Seccomp { // the last, as it forbids the means of the others
		b.filterCalls(errSeccomp, listFilter())
	}
	return nil
}

// Kernel is what a kernel has to confine processes with.
type Kernel struct {
	Landlock int // version of its ABI; 0 for none
	Seccomp  bool
}

// Confines tells what this kernel has.
func Confines() Kernel { return Kernel{Landlock: landlockABI(), Seccomp: hasSeccomp()} }

// Lacks says what is missing, and what follows, as a clause; empty for nothing.
func (k Kernel) Lacks() string {
	var missing []string
	if k.Landlock == 0 {
		missing = append(missing, "the kernel has no Landlock (Linux 5.13 or later has, with \"landlock\" in its boot parameter lsm): a proxy that is taken over reads and writes all that its user may")
	}
	if !k.Seccomp {
		missing = append(missing, "the kernel has no seccomp filters, or their list is not known for this machine: a proxy that is taken over makes any system call")
	}
	return strings.Join(missing, "; ")
}
