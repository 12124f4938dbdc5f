package fake

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Behaviour is how a fake Envoy behaves.
type Behaviour string

// Behaviours of the fake Envoy.
const (
	WellBehaved Behaviour = "ok"
	Dying       Behaviour = "dying"    // exits with status 3 before it is ready, and refuses its bootstrap
	Mortal      Behaviour = "mortal"   // exits with status 3 before it is ready, but finds its bootstrap good
	LateMortal  Behaviour = "late"     // the same, when the one before has closed its admin API
	Usurper     Behaviour = "usurper"  // the same, when it has taken the listeners over
	Alone       Behaviour = "alone"    // never reaches Consul
	Picky       Behaviour = "picky"    // refuses the listeners that Consul sends
	Stubborn    Behaviour = "stubborn" // ignores SIGTERM
	Busy        Behaviour = "busy"     // its connections end soon after it was told to let them end
	Clinging    Behaviour = "clinging" // its connections end only when the peer ends them
	Hung        Behaviour = "hung"     // its admin API stops to answer when HangFile appears
	Impostor    Behaviour = "impostor" // some other program
)

const (
	// HangFile is the file in its working directory at whose sight a Hung Envoy
	// stops to answer.
	HangFile = "hang"

	// ListenerVariable is the environment variable with the address of the fake's
	// public listener; there is none without it.
	ListenerVariable = "FAKE_LISTENER"

	// LifeVariable is the environment variable with the time after which a fake ends
	// by itself, "10m"; a minute without it.
	LifeVariable = "FAKE_LIFE"

	// AdminSocket is where the admin API is, in the working directory.
	AdminSocket = "admin.sock"

	// EnvoyVersion is what the fake says of itself.
	EnvoyVersion = "1.36.4"
)

// namePrefix is what the fake's name begins with; its behaviour follows.
const namePrefix = "envoy-"

// RunAsEnvoy is to be called first in a TestMain. It returns at once, unless the
// program was started as a fake Envoy: then it is one, and exits.
func RunAsEnvoy() {
	if behaviour, ok := strings.CutPrefix(filepath.Base(os.Args[0]), namePrefix); ok {
		os.Exit(runEnvoy(Behaviour(behaviour), os.Args[1:]))
	}
}

// Envoy gives the path of a fake Envoy, which every user may execute.
func Envoy(t testing.TB, behaviour Behaviour) string {
	t.Helper()
	path := filepath.Join(publicDir(t), namePrefix+string(behaviour))
	if err := provide(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// EnvoyEnv is what the environment of a fake Envoy must have, whoever it runs as.
// With coverage a program says as its last words that it has no place to write
// what it knows of its own, and with the race detector it stays for a second after
// its end.
func EnvoyEnv(t testing.TB) []string {
	t.Helper()
	coverage := publicDir(t)
	if err := os.Chmod(coverage, 0o777); err != nil {
		t.Fatal(err)
	}
	return []string{"GOCOVERDIR=" + coverage, "GORACE=atexit_sleep_ms=0"}
}

// publicDir is a temporary directory that every user may search, unlike the one
// that Go has made for the test around it.
func publicDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// provide puts this program at a path, by another name of the same file: Go builds
// test binaries in a directory that only their user may search, so no other user
// could follow a symbolic link.
func provide(path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if os.Link(self, path) == nil {
		return nil
	}
	return copyProgram(self, path) // it is on another file system
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// runEnvoy is the whole life of a fake Envoy; it gives its exit status.
func runEnvoy(behaviour Behaviour, args []string) int {
	switch {
	case behaviour == Impostor:
		fmt.Println("GNU something 1.0")
		return 0
	case slices.Contains(args, "--version"):
		fmt.Println("\nenvoy  version: " + longVersion)
		return 0
	case slices.Contains(args, "validate"):
		return validate(behaviour)
	case behaviour == Dying, behaviour == Mortal:
		return 3
	}
	status, err := newGeneration(behaviour, args).run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// longVersion is how Envoy writes its version.
const longVersion = "0123abcd/" + EnvoyVersion + "/Clean/RELEASE/BoringSSL"

// validate is what Envoy makes of a bootstrap that it is only to check.
func validate(behaviour Behaviour) int {
	if behaviour == Dying {
		fmt.Fprintln(os.Stderr, "error initializing configuration '/dev/fd/3': no such field: 'x'")
		return 1
	}
	return 0
}

// flagOf is the value of a flag; empty when it is not given.
func flagOf(args []string, name string) string {
	at := slices.Index(args, name)
	if at < 0 || at+1 == len(args) {
		return ""
	}
	return args[at+1]
}
