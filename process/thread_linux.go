package process

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// onOwnThread runs f as goOnOwnThread does, and waits for its result.
func onOwnThread(f func() error) error {
	done := make(chan error)
	goOnOwnThread(func() { done <- f() })
	return <-done
}

// goOnOwnThread runs f on a thread that ends with it: nothing else ever runs
// there, so f may change what the kernel thinks of the thread. It is never the
// main thread, which cannot end, and stands for the whole process in places.
func goOnOwnThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return // locked: the runtime ends the thread
		}
		defer runtime.UnlockOSThread()
		done := make(chan struct{})
		goOnOwnThread(func() { // on another one, as this goroutine keeps the main thread
			defer close(done)
			f()
		})
		<-done
	}()
}
