package driver

import (
	"os"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
)

// Whom a task ran as is known as long as its directory is there. Nobody waits for
// who looks whether it is: it may be on a file system that is dead.
func TestTasks_users(t *testing.T) {
	t.Parallel()
	tasks := newTasks()
	with := func(alloc, user string) *drivers.TaskConfig {
		return &drivers.TaskConfig{ID: alloc + "/proxy", AllocID: alloc, Name: "proxy", AllocDir: t.TempDir(), User: user}
	}
	here, gone := with("a1", "one"), with("a2", "two")
	must.NoError(t, os.MkdirAll(here.TaskDir().Dir, 0o755))
	tasks.begin(here)()
	tasks.begin(gone)()

	tasks.forgetting = true // somebody looks, and gets no answer
	tasks.forgetGone()
	again := *gone
	again.User = ""
	tasks.begin(&again)()
	must.Eq(t, "two", again.User)

	tasks.forgetting = false
	tasks.forgetGone()
	within(t, func() bool {
		tasks.mu.Lock()
		defer tasks.mu.Unlock()
		return !tasks.forgetting
	})
	must.Eq(t, map[string]string{here.TaskDir().Dir: "one"}, tasks.users)
}
