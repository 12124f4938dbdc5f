package fake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// longestLife ends a fake that a test has forgotten.
func longestLife() time.Duration {
	if life, err := time.ParseDuration(os.Getenv(LifeVariable)); err == nil {
		return life
	}
	return time.Minute
}

// generation is one Envoy of those that follow each other in a working directory.
// Files stand there for the messages that Envoys send each other:
//
//	begun-N     generation N wants the admin API
//	closed-N    generation N has closed its admin API
//	serving-N   generation N has the listeners
//	released-N  generation N has closed its listeners
type generation struct {
	behaviour Behaviour
	args      []string
	epoch     int
	listener  *publicListener // nil for none
}

func newGeneration(behaviour Behaviour, args []string) *generation {
	epoch, _ := strconv.Atoi(flagOf(args, epochFlag))
	return &generation{behaviour: behaviour, args: args, epoch: epoch}
}

const epochFlag = "--restart-epoch"

// run gives the exit status.
func (g *generation) run() (int, error) {
	time.AfterFunc(longestLife(), func() { os.Exit(9) })
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	if g.behaviour == Stubborn {
		signal.Ignore(syscall.SIGTERM)
	}
	if err := g.initMemory(); err != nil {
		return 0, err
	}
	if err := g.serve(); err != nil {
		return 0, err
	}
	if g.behaviour == LateMortal {
		g.awaitPredecessor("closed")
		return 3, nil
	}
	if g.behaviour != Alone { // it takes over
		if err := errors.Join(g.flagMemory(0), g.tell("serving")); err != nil {
			return 0, err
		}
	}
	if g.behaviour == Usurper {
		g.awaitPredecessor("released")
		return 3, nil
	}
	<-terminated
	return 0, nil
}

// serve begins the admin API and the listener.
func (g *generation) serve() error {
	if g.epoch > 0 {
		if err := os.Remove(AdminSocket); err != nil {
			return err
		}
	}
	admin, err := new(net.ListenConfig).Listen(context.Background(), "unix", AdminSocket)
	if err != nil {
		return err
	}
	admin.(*net.UnixListener).SetUnlinkOnClose(false) // it is the successor's by then
	if address := os.Getenv(ListenerVariable); address != "" && g.behaviour != Alone && g.behaviour != LateMortal {
		if err := g.listen(address); err != nil {
			return err
		}
	}
	go func() { _ = http.Serve(admin, g.admin()) }()
	if err := g.tell("begun"); err != nil {
		return err
	}
	go g.leave(admin)
	return nil
}

// leave does what the successor wants, but for the end, which the driver has in hand.
func (g *generation) leave(admin net.Listener) {
	awaitFile("begun", g.epoch+1)
	// As with Envoy, connections to the admin API that are open stay so.
	_ = errors.Join(admin.Close(), g.tell("closed"))
	awaitFile("serving", g.epoch+1)
	if g.listener != nil {
		_ = g.listener.Close()
	}
	_ = g.tell("released")
}

func (g *generation) tell(message string) error {
	return os.WriteFile(messageFile(message, g.epoch), nil, 0o600)
}

// awaitPredecessor waits for what the generation before has to tell.
func (g *generation) awaitPredecessor(message string) {
	if g.epoch > 0 {
		awaitFile(message, g.epoch-1)
	}
}

func messageFile(message string, epoch int) string { return fmt.Sprintf("%s-%d", message, epoch) }

// awaitFile waits for a file in the working directory. The kernel tells of it, as a
// thousand fakes that look all the time would be the load of a machine; where it
// gives no more of such descriptors to the user, the fake looks.
func awaitFile(message string, epoch int) {
	look := func() { time.Sleep(5 * time.Millisecond) } //nolint:forbidigo // see above
	if fd, err := unix.InotifyInit1(unix.IN_CLOEXEC); err == nil {
		defer func() { _ = unix.Close(fd) }()
		if _, err := unix.InotifyAddWatch(fd, ".", unix.IN_CREATE); err == nil {
			events := make([]byte, 4096)
			look = func() { _, _ = unix.Read(fd, events) }
		}
	}
	for !exists(messageFile(message, epoch)) {
		look()
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
