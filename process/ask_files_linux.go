package process

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// answerTime is how long a file system may take to tell what it has, on a machine that is
// busy with other things, too. One that is away (NFS, FUSE) never does, and a thread that
// asks it is lost until then.
const answerTime = 10 * time.Second

// silent are the paths that somebody has waited at in vain, and still waits: they are not
// asked for again, else each question would cost a thread.
var silent sync.Map

// SilentError says that a file system does not answer.
type SilentError struct{ Path string }

func (e *SilentError) Error() string {
	return fmt.Sprintf("look what is at %s: its file system has not answered within %s, as one that is away (NFS, FUSE); bring it back or unmount it, or name no file there", e.Path, answerTime)
}

// AskFiles lets ask look at files, which says before of each where it is, and goes no
// further when that is an error. It waits no longer than a file system may take. What ask
// gives later is dropped.
func AskFiles[T any](ask func(at func(path string) error) (T, error)) (T, error) {
	type answer struct {
		got T
		err error
	}
	var latest atomic.Value
	answered := make(chan answer, 1)
	go func() {
		got, err := ask(func(path string) error {
			if _, ok := silent.Load(path); ok {
				return &SilentError{path}
			}
			latest.Store(path)
			return nil
		})
		answered <- answer{got, err}
	}()
	late := time.NewTimer(answerTime)
	defer late.Stop()
	select {
	case a := <-answered:
		return a.got, a.err
	case <-late.C:
	}
	path, _ := latest.Load().(string)
	silent.Store(path, true)
	go func() {
		<-answered
		silent.Delete(path)
	}()
	var none T
	return none, &SilentError{path}
}
