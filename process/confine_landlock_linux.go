package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights of Landlock's, by what they are for. It takes away those that are named in
// mayRestrict, and gives back what is granted; of what is not named here, as of sockets
// that are connected to, and of signals, it takes nothing.
const (
	mayRead    = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	mayExecute = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE
	mayChange  = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	mayMake    = unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REFER
	mayDevice = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV

	mayWrite    = mayRead | mayChange | mayMake
	mayRestrict = mayWrite | mayExecute | mayDevice

	// mayToFile are the rights to something that is no directory.
	mayToFile = mayExecute | mayChange | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// knownBy are the rights that a version of Landlock's ABI knows.
func knownBy(abi int) uint64 {
	known := uint64(mayRestrict)
	for since, right := range map[int]uint64{
		2: unix.LANDLOCK_ACCESS_FS_REFER,
		3: unix.LANDLOCK_ACCESS_FS_TRUNCATE,
		5: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV,
	} {
		if abi < since {
			known &^= right
		}
	}
	return known
}

// landlockABI is 0 where the kernel has no Landlock, or was booted without.
func landlockABI() int {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(abi)
}

// ruleset makes the one of the launch; nil for none. The child only takes it on: the files
// that it is made of may be on file systems that are away.
func (l Launch) ruleset() (rules *os.File, err error) {
	abi := landlockABI()
	if l.Confinement == nil || abi == 0 {
		return nil, nil
	}
	rules, err = AskFiles(func(at func(string) error) (*os.File, error) {
		if err := at(l.Path); err != nil {
			return nil, err
		}
		return newRuleset(knownBy(abi), l.Confinement.grants(l.Path), at)
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLandlock, err)
	}
	return rules, nil
}

// grant gives rights to a file, or to a directory and all below.
type grant struct {
	path   string
	rights uint64
}

// newRuleset makes one of Landlock's. Nobody closes one that came too late: then the
// runtime does.
func newRuleset(known uint64, grants []grant, at func(path string) error) (*os.File, error) {
	// An older kernel knows the first field only, and the others stay zero.
	attr := unix.LandlockRulesetAttr{Access_fs: known}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Access_fs), 0)
	if errno != 0 {
		return nil, fmt.Errorf("make a ruleset: %w", errno)
	}
	rules := os.NewFile(fd, "ruleset")
	for _, g := range grants {
		g.rights &= known
		err := at(g.path)
		if err == nil {
			err = g.addTo(rules)
		}
		if err != nil {
			return nil, errors.Join(err, rules.Close())
		}
	}
	return rules, nil
}

// addTo follows links to their ends. It neither waits for what it finds nor disturbs it.
func (g grant) addTo(rules *os.File) error {
	fd, err := openPath(g.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, fs.ErrPermission) {
		return nil // who is confined may not open it either, or finds something else there
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", g.path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("look at %s: %w", g.path, err)
	}
	rights := g.rights
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= mayToFile
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, rules.Fd(), landlockPathBeneath, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 && errno != unix.EBADFD { // pipes and sockets need no right of Landlock's
		return fmt.Errorf("grant %s: %w", g.path, errno)
	}
	return nil
}

// landlockPathBeneath is LANDLOCK_RULE_PATH_BENEATH of linux/landlock.h, which x/sys does
// not have.
const landlockPathBeneath = 1
