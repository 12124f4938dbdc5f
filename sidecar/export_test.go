package sidecar

import (
	"context"

	"nomad-driver-connect/process"
)

// What tests from outside need to see or do, and nobody else.
var (
	OpenLog = openLog
	BindAs  = bindAs
)

// LogPipeSize is how much of a log waits for a reader.
const LogPipeSize = logPipeSize

// Generations counts the processes of the sidecar that run, whoever started them.
func (s *Sidecar) Generations() int {
	found, err := s.findGenerations()
	if err != nil {
		return -1
	}
	return len(found)
}

// Leaving counts the generations that were succeeded and have not left.
func (s *Sidecar) Leaving() int { return len(s.running.Load().leaving) }

// LaunchNext starts another generation, as a plugin does that is killed then.
func (s *Sidecar) LaunchNext(ctx context.Context) error {
	epoch := s.current().epoch + 1
	next, err := s.program.Next(ctx, s.place(), epoch)
	if err == nil {
		_, err = s.launch(next, epoch)
	}
	return err
}

// IsStopping tells that a stop was asked for.
func (s *Sidecar) IsStopping() bool {
	select {
	case <-s.unstopped.Done():
		return true
	default:
		return false
	}
}

// Attempt finds out why the current generation should go, and whether its successor
// would start.
func (s *Sidecar) Attempt(ctx context.Context) (why string, next *Launch, err error) {
	a := s.attempt(ctx, s.current(), "", true)
	return a.why, a.next, a.err
}

// Make makes the directory of a socket.
func (d SocketDir) Make(root string, owner process.User) error { return d.make(root, owner) }

// Connect tells whether the program would be let in.
func (r Run) Connect(ctx context.Context, to Address) error {
	return (&Sidecar{spec: Spec{Run: r}}).connect(ctx, to)
}
