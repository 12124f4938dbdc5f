package driver

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// lose notes that the machine was restarted since a task had its token: what was written
// for it into its secrets lay in memory.
func (t *tasks) lose(config *drivers.TaskConfig, source string) {
	if !strings.HasPrefix(source, "secrets/") && !strings.HasPrefix(filepath.Clean(source), config.TaskDir().SecretsDir+"/") {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost[config.TaskDir().Dir] = source
}

// lostToken is an error where the token of a task has gone with a restart of the machine;
// nil where it has not.
func (t *tasks) lostToken(config *drivers.TaskConfig) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	source := t.lost[config.TaskDir().Dir]
	if source == "" {
		return nil
	}
	return sidecar.Invalidf(source, "is gone since the machine was restarted, as it lay in memory, and Nomad does not write it again: the task fails, so that Nomad makes a new allocation, which is given another; to log in anew instead, give the task an identity block and name it in consul { identity = … }")
}

// missingFile makes a final error of a token's file that a restart of the machine took.
func (t *tasks) missingFile(config *drivers.TaskConfig, err error) error {
	if lost := t.lostToken(config); lost != nil && errors.Is(err, fs.ErrNotExist) {
		return lost
	}
	return err
}

// lost is an error for a task that had a token before the machine was restarted, and has
// none now. Without one it would act as anybody may; where there are no ACLs that is as
// good.
func (k *tokenKeeper) lost(ctx context.Context) error {
	lost := k.plugin.tasks.lostToken(k.task)
	if lost == nil {
		return nil
	}
	if acls, err := k.hasACLs(ctx); err != nil || !acls {
		return nil //nolint:nilerr // what is amiss with the agent the start itself will say
	}
	return lost
}
