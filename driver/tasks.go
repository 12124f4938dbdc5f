package driver

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// task is one that runs, or has run and was not destroyed yet.
type task struct {
	config  *drivers.TaskConfig
	sidecar *sidecar.Sidecar
}

// tasks is the table of tasks by their IDs. Its mutex is the only one of the
// plugin.
type tasks struct {
	mu   sync.Mutex
	byID map[string]*task

	// users remembers, by a task's directory, whom it ran as: after a restart of
	// its agent Nomad leaves the user of a restarted task empty.
	users map[string]string
}

func newTasks() *tasks {
	return &tasks{byID: map[string]*task{}, users: map[string]string{}}
}

func (t *tasks) get(id string) (*task, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found, ok := t.byID[id]; ok {
		return found, nil
	}
	return nil, drivers.ErrTaskNotFound
}

func (t *tasks) put(id string, added *task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byID[id] = added
}

func (t *tasks) remove(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, id)
}

// rememberUser keeps the user of a task; an empty one is filled in from what
// was remembered before.
func (t *tasks) rememberUser(config *drivers.TaskConfig) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for dir := range t.users {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			delete(t.users, dir) // its allocation is gone
		}
	}
	key := config.TaskDir().Dir
	if config.User == "" {
		config.User = t.users[key]
		return
	}
	t.users[key] = config.User
}
