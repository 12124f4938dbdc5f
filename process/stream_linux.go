package process

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// Streams are those of a command while it runs. A nil one is empty, or goes nowhere.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	// Linger is how long what the command has printed may take to be read after it
	// has ended.
	Linger time.Duration
}

// Stream runs a command with somebody at the other end of its streams. The first three of
// the launch's Files are made here.
func Stream(ctx context.Context, l Launch, s Streams) (Exit, error) {
	pipes, err := s.open()
	if err != nil {
		return Exit{}, err
	}
	defer pipes.close()
	l.Files = append(pipes.child[:], l.Files[min(len(l.Files), 3):]...)
	command, err := StartCommand(ctx, l)
	pipes.closeChilds()
	if err != nil {
		return Exit{}, err
	}
	copied := pipes.copy(s)
	return command.WaitRead(copied, s.Linger)
}

// pipes are the streams of a command: an end for it, and one for us.
type pipes struct{ child, ours [3]*os.File }

func (s Streams) open() (*pipes, error) {
	p := &pipes{}
	var errs error
	for fd, wanted := range [3]bool{s.Stdin != nil, s.Stdout != nil, s.Stderr != nil} {
		var err error
		switch {
		case !wanted:
			p.child[fd], err = os.OpenFile(os.DevNull, os.O_RDWR, 0)
		case fd == 0:
			p.child[fd], p.ours[fd], err = os.Pipe()
		default:
			p.ours[fd], p.child[fd], err = os.Pipe()
		}
		errs = errors.Join(errs, err)
	}
	if errs != nil {
		p.closeChilds()
		p.close()
		return nil, errs
	}
	return p, nil
}

func (p *pipes) closeChilds() { closeFiles(p.child[:]) }

func (p *pipes) close() { closeFiles(p.ours[:]) }

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// copy moves what comes and goes. It tells when all that the command has printed was
// taken; what the user has still to say is not waited for.
func (p *pipes) copy(s Streams) (copied <-chan struct{}) {
	if s.Stdin != nil {
		go func() {
			_, _ = io.Copy(p.ours[0], s.Stdin)
			_ = p.ours[0].Close()
		}()
	}
	var outputs sync.WaitGroup
	for fd, to := range map[int]io.Writer{1: s.Stdout, 2: s.Stderr} {
		if to != nil {
			outputs.Go(func() { _, _ = io.Copy(to, p.ours[fd]) })
		}
	}
	done := make(chan struct{})
	go func() {
		outputs.Wait()
		close(done)
	}()
	return done
}
