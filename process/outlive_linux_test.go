package process

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// role makes this very binary a parent that starts a child and waits, or a
// child that asks to end with its parent, as Envoy does.
const role = "PROCESS_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "parent":
		os.Exit(beParent())
	case "child":
		os.Exit(beChild())
	case "listener":
		os.Exit(beListener())
	case "intruder":
		os.Exit(beIntruder())
	}
	os.Exit(m.Run())
}

func beParent() int {
	self, err := os.Executable()
	dir, dirErr := os.Open("/")
	if err != nil || dirErr != nil {
		return 1
	}
	p, err := Start(Launch{Path: self, Env: []string{role + "=child"}, Dir: dir, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	<-p.Done()
	return 0
}

func beChild() int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGWINCH)
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(os.Getpid())
	if <-signals == syscall.SIGTERM {
		return 7 // the parent's death
	}
	return 5
}

// A child lives on when we are killed, whatever it asked for.
func TestProcess_outlivesParent(t *testing.T) {
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), role+"=parent")
	out, err := parent.StdoutPipe()
	must.NoError(t, err)
	parent.Stderr = os.Stderr
	must.NoError(t, parent.Start())
	child := attachToPrinted(t, out)

	must.NoError(t, parent.Process.Kill())
	_ = parent.Wait() // the kernel has sent the child what it asked for by then
	must.NoError(t, child.Signal(syscall.SIGWINCH))
	<-child.Done()
	if exit := child.Exit(); !exit.Unobserved || kernelKeepsExits(t) {
		must.Eq(t, 5, exit.Code)
	}
}
