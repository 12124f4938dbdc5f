package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// task is one that runs, or has run and was not destroyed yet.
type task struct {
	config  *drivers.TaskConfig
	sidecar *sidecar.Sidecar
	proxy   *proxy
}

// destroy leaves nothing behind. It may be repeated when it fails.
func (t *task) destroy(ctx context.Context) error {
	if err := t.sidecar.Destroy(ctx); err != nil {
		return err
	}
	return t.proxy.end(ctx, t.sidecar.Status().Place.ID)
}

// tasks is the table of tasks by their IDs. Its mutex is the only one of the
// plugin.
type tasks struct {
	mu    sync.Mutex
	byID  map[string]*task
	begun map[string]*drivers.TaskConfig // by ID, while they are started or recovered
	site  site

	// leaving are the tasks that Nomad has done with, and of which something is
	// left behind still.
	leaving map[place]*leaving

	// users remembers, by a task's directory, whom it ran as: after a restart of
	// its agent Nomad leaves the user of a restarted task empty.
	users      map[string]string
	forgetting bool // somebody looks which of them, and of lost, are of use still

	// lost remembers, by a task's directory, where the token lay of one that is to be
	// started anew after a restart of the machine.
	lost map[string]string
}

// place is where a task runs, also when its ID is another after a restart.
type place struct{ allocID, task string }

func placeOf(config *drivers.TaskConfig) place { return place{config.AllocID, config.Name} }

// site is what tasks tell of the Nomad client that they belong to; a plugin
// learns it from nobody else.
type site struct {
	nodeID   string
	allocDir string    // the directory of all allocations
	at       time.Time // of the latest task
}

func newTasks() *tasks {
	return &tasks{byID: map[string]*task{}, begun: map[string]*drivers.TaskConfig{}, users: map[string]string{}, leaving: map[place]*leaving{}, lost: map[string]string{}}
}

// begin notes a task that is about to be in the table, and whom it runs as. What is
// left behind of its last run is its own business from now on. The function that it
// gives must be called when it is in the table, or will not be.
func (t *tasks) begin(config *drivers.TaskConfig) (end func()) {
	t.note(config)
	t.comeBack(placeOf(config)) // after it: nobody removes anything there that has not begun to
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.begun, config.ID)
	}
}

func (t *tasks) note(config *drivers.TaskConfig) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rememberUser(config)
	t.begun[config.ID] = config
	t.site = site{nodeID: config.NodeID, allocDir: filepath.Dir(config.AllocDir), at: time.Now()}
}

// client is the Nomad client, as far as its tasks have told.
func (t *tasks) client() site {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.site
}

// lookedAfter tells whether somebody looks after a task at a place. The caller holds
// the lock.
func (t *tasks) lookedAfter(at place) bool {
	if t.leaving[at] != nil {
		return true
	}
	for _, config := range t.configs() {
		if placeOf(config) == at {
			return true
		}
	}
	return false
}

// configs are those of all tasks that somebody looks after. The caller holds the lock.
func (t *tasks) configs() []*drivers.TaskConfig {
	all := slices.Collect(maps.Values(t.begun))
	for _, task := range t.byID {
		all = append(all, task.config)
	}
	return all
}

// aloneAs sees to it that no other task has the user that Nomad made up for one: Nomad
// gives each to one task, but a job can spell the name. Which of two has spelled it cannot
// be told: the second is refused, and not for good, as it may be the victim. A new
// allocation is given another user.
func (t *tasks) aloneAs(config *drivers.TaskConfig) error {
	if !dynamicUser.MatchString(config.User) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, other := range t.configs() {
		if other.User == config.User && placeOf(other) != placeOf(config) {
			return fmt.Errorf("user: %q is that of another task on this node, and Nomad makes one up for each; leave user out of the job whose author has written it; a new allocation is given another (nomad alloc stop %s)", config.User, config.AllocID)
		}
	}
	return nil
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
	delete(t.lost, added.config.TaskDir().Dir)
}

func (t *tasks) remove(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, id)
}

// rememberUser keeps the user of a task; an empty one is filled in from what
// was remembered before.
func (t *tasks) rememberUser(config *drivers.TaskConfig) {
	key := config.TaskDir().Dir
	if config.User == "" {
		config.User = t.users[key]
		return
	}
	t.users[key] = config.User
}

// forgetGone forgets what is remembered of allocations that are gone. It looks beside, since a
// file system that is dead may never answer, and without the lock.
func (t *tasks) forgetGone() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.forgetting {
		return
	}
	t.forgetting = true
	dirs := slices.AppendSeq(slices.Collect(maps.Keys(t.users)), maps.Keys(t.lost))
	go func() {
		gone := slices.DeleteFunc(dirs, func(dir string) bool {
			_, err := os.Stat(dir)
			return !errors.Is(err, fs.ErrNotExist)
		})
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, dir := range gone {
			delete(t.users, dir)
			delete(t.lost, dir)
		}
		t.forgetting = false
	}()
}
