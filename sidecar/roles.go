package sidecar

import (
	"context"
	"errors"
	"os"
	"time"

	"nomad-driver-connect/process"
)

// Member is the proxy as the mesh knows it: registered by us, by somebody else,
// or by nobody. No two of its methods are called at once, but for News.
type Member interface {
	// Join returns when the mesh has the proxy, closed to its peers. Leave undoes
	// it, also when it failed half way. An *InvalidError is the user's mistake.
	Join(ctx context.Context) (Place, error)

	// Rejoin takes up what an earlier life of this program has joined.
	Rejoin(at Place)

	// News tells that it is time to Look; nil when there never is any. It holds
	// after Join or Rejoin.
	News() <-chan struct{}

	// Look asks what has become of it.
	Look(ctx context.Context) (Finding, error)

	// Tell says what is so. The last word holds, also after one that ctx has cut off.
	// A proxy that Look has found Altered, Moved or Lost is brought back to what is told.
	Tell(ctx context.Context, s Standing) (Reply, error)

	// Leave ends it. It may be repeated until it succeeds, and after.
	Leave(ctx context.Context) (Farewell, error)
}

// Place is what Join has learnt. A zero field is unknown, or absent.
type Place struct {
	ID        string   // of the registration
	Service   string   // whom the proxy stands for
	Public    Port     // where peers come in
	Ports     []Port   // that must be free before it starts
	App       Address  // what must accept a connection before peers may come
	Peers     Address  // where peers are told to come, when that is ours to say
	Upstreams []string // the services that the app is known to reach through it
	Outbound  bool     // the app reaches others through it
}

// Address is where somebody accepts connections: "tcp" and "host:port", or
// "unix" and a path, which may be relative to the proxy's working directory.
type Address struct{ Network, Address string }

// Standing is whose process it is, and whether peers may come.
type Standing struct {
	Process   process.Identity // zero before there is one
	Listeners []StaticListener // of that process
	Open      bool
	Why       string // why they may not, or what is amiss all the same, as a sentence; empty for nothing
}

// Reply is what the mesh makes of what it is told.
type Reply struct {
	Again time.Duration // how soon it wants to hear it again; 0 for never
	Held  string        // why peers are kept away from an open one all the same, as a sentence; empty when they are not
}

// Presence is what has become of a proxy in the mesh.
type Presence int

// What Look finds.
const (
	Present   Presence = iota // as it was told
	Altered                   // there, but not as it was told: tell it again
	Moved                     // what it stands before is another by now: tell it again, at the finding's place
	Withdrawn                 // taken away, and so will be what it stands before
	Forgotten                 // gone, but not withdrawn as far as is known: wait for what it stands before
	Lost                      // gone, but wanted: tell it again
)

// Finding is a Presence, and what has become of it as a sentence without a full
// stop; empty when there is nothing to say.
type Finding struct {
	Presence Presence
	Why      string
	Place    Place // of one that has Moved
}

// Farewell is what came of leaving.
type Farewell struct {
	Heard time.Duration // how long peers may take to hear of it; 0 when they have
	Said  string        // what was done: "withdrawn from Consul"; may be empty
}

// Program is what runs. No two of its methods are called at once, but for
// Control, StandIn and LastWords.
type Program interface {
	// Name is how sentences call it: "Envoy".
	Name() string

	// Preflight finds what is wrong before anything is begun. An *InvalidError is
	// the user's mistake.
	Preflight(ctx context.Context) error

	// Prepare puts into the run directory what all generations need there.
	Prepare(ctx context.Context) error

	// Next is what a generation is started with, as it would be now.
	Next(ctx context.Context, at Place, epoch int) (*Launch, error)

	// Outdated says why what runs should give way to next; no reason when it need not.
	Outdated(running *process.Process, next *Launch) (Reason, error)

	// Recover learns again how to speak with a generation that is found running.
	Recover(running *process.Process)

	// Epoch reads it from the command line of a generation, with argv[0]; ok is
	// false for another program's.
	Epoch(args []string) (epoch int, ok bool)

	// Listeners are those that a generation which is found running has of its own; nil
	// when that is not known.
	Listeners(running *process.Process) []StaticListener

	// StandIn answers in the place of a generation that has left, or that its
	// successor is to leave alone, for as long as that may have something to say to it.
	// It hands over what is kept of the sockets of one that has crashed.
	StandIn(ctx context.Context, epoch int, kept []process.Listener) error

	// LastWords is the last complaint in the program's log; empty for none.
	LastWords() string

	// Control speaks with the generation that answers.
	Control() Control

	// Remove removes what Prepare has made outside of the run directory.
	Remove() error
}

// Reason is why a generation should give way to another.
type Reason struct {
	Why      string // as a clause: "its bootstrap has changed"; empty for none
	Pressing bool   // what runs does not work for long, as with a token that is no longer good
}

// Launch is what one generation is started with.
type Launch struct {
	Path    string // of the binary
	Args    []string
	Version string // of the program; empty when it is not known yet
	Config  []byte // what the program reads, with its secrets

	Listeners []StaticListener // that it has by that; nil when they are not known

	Confinement *process.Confinement // nil for a program that may do what its user may

	// Check lets the program itself say what it makes of Config, and completes
	// Version.
	Check func(ctx context.Context) error

	// Open gives what the generation finds open, from descriptor 3 on. The caller
	// closes it.
	Open func() ([]*os.File, error)
}

// Control speaks with the generation that answers. Any number may speak.
type Control interface {
	// Progress is how far a generation has come. The error says that it was not
	// learnt.
	Progress(ctx context.Context, epoch int) (Progress, error)

	// Waits names what it still waits for, as "a, b"; empty for nothing.
	Waits(ctx context.Context) string

	// Remark is what is worth telling of one that is ready; may be empty.
	Remark(ctx context.Context, at Place) string

	// Version is that of the generation; "unknown" when it does not say.
	Version(ctx context.Context) string

	// Alive gets an answer. ErrClosed is one that takes no questions any more,
	// since a successor has begun.
	Alive(ctx context.Context) error

	// Leaving has connections from peers told to leave, or to stay.
	Leaving(ctx context.Context, yes bool) error

	// Refuse has new connections refused: those of peers, or all.
	Refuse(ctx context.Context, peersOnly bool) error

	// Listeners are those that carry traffic, its admin API and what is scraped not
	// among them; nil when it does not say.
	Listeners(ctx context.Context) []Address

	// Open counts the connections that it has accepted on listeners.
	Open(ctx context.Context, listeners []Address) (int, error)
}

// Progress is how far a generation has come.
type Progress struct {
	Missing  string // what is missing before it is of use, as a sentence; empty for nothing
	TookOver bool   // it has the listeners, and the one before has them no more
}

// ErrClosed is Alive's answer for one whose successor has begun.
var ErrClosed = errors.New("it takes no questions any more")
