package driver

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os/user"
	"regexp"
	"slices"
	"strconv"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// accounts finds a user of the machine by its name or by its number.
type accounts func(name string) (u process.User, known bool)

// machineAccounts asks the machine.
func machineAccounts(name string) (process.User, bool) {
	found, err := user.Lookup(name)
	if err != nil {
		found, err = user.LookupId(name)
	}
	if err != nil {
		return process.User{}, false
	}
	uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
	return process.User{Name: found.Username, UID: uint32(uid), GID: uint32(gid), Switch: true}, uidErr == nil && gidErr == nil
}

// find takes a number that the machine has no name for as a user with a group of that
// number.
func (a accounts) find(name string) (process.User, bool) {
	if known, ok := a(name); ok {
		return known, true
	}
	id, err := strconv.ParseUint(name, 10, 32)
	return process.User{Name: name, UID: uint32(id), GID: uint32(id), Switch: true}, err == nil
}

// dynamicUser is how Nomad names a user that it made up for one task.
var dynamicUser = regexp.MustCompile(`^nomad-(\d+)$`)

// userRange are the numbers of the users that Nomad makes up.
type userRange struct{ first, last int }

// newUserRange completes what the operator says by what Nomad has without a word.
func newUserRange(first, last int) (userRange, error) {
	r := userRange{cmp.Or(first, 80_000), cmp.Or(last, 89_999)}
	if r.first < 1 || r.last < r.first || r.last > math.MaxInt32 {
		return r, sidecar.Invalidf("allow.dynamic_user_min", "%d to dynamic_user_max, %d, are no numbers of users; give both as users {} of the client's config has them", r.first, r.last)
	}
	return r, nil
}

func (r userRange) has(uid uint32) bool { return r.first <= int(uid) && int(uid) <= r.last }

// overflowID is the number of nobody, as whom the kernel shows all users that it has no
// number for.
const overflowID = 65534

// unfit says why nobody lets a proxy be a user; empty for one that will do.
func unfit(u process.User) string {
	switch {
	case u.UID == 0 || u.GID == 0:
		return "a proxy does not run as root, nor in root's group"
	case u.UID == overflowID || u.Name == "nobody":
		return "a proxy does not run as nobody, whom others have, too"
	}
	return ""
}

// listed finds a user that the operator leaves to jobs.
func (a allow) listed(name string, accounts accounts) (process.User, error) {
	const field = "allow.users"
	u, ok := accounts.find(name)
	if !ok {
		return u, sidecar.Invalidf(field, "%q is not a user of this machine; make it one, or list its number", name)
	}
	if why := unfit(u); why != "" {
		return u, sidecar.Invalidf(field, "%q cannot be listed: %s", name, why)
	}
	if a.dynamic.has(u.UID) {
		return u, sidecar.Invalidf(field, "%q cannot be listed: Nomad gives tasks the users from %d to %d, each one its own", name, a.dynamic.first, a.dynamic.last)
	}
	return u, nil
}

// users are whom a proxy could run as, by who says so; each may be empty.
type users struct {
	job      string // envoy.user of the job
	task     string // the task's: the job's word, or made up by Nomad
	operator string // envoy.user of the plugin's config
}

// runAs finds whom Envoy runs as.
func (a allow) runAs(say users, accounts accounts) (process.User, error) {
	switch {
	case say.job != "":
		return a.chosen("envoy.user", say.job, accounts)
	case say.task != "" && !dynamicUser.MatchString(say.task):
		return a.chosen("user", say.task, accounts)
	case say.operator != "":
		return operators(say.operator, accounts)
	case say.task == "":
		return process.User{}, errors.New("Nomad gives no user for the task (its agent was restarted before the task had ever run), and a proxy does not run as root; replace the allocation with `nomad alloc stop`, or have the operator set envoy { user = … } in plugin \"nomad-driver-connect\" { config { … } }")
	}
	return a.madeUp(say.task, accounts)
}

// chosen judges the user that a job names: by its number, so that each of its names is
// as good as the other.
func (a allow) chosen(field, name string, accounts accounts) (process.User, error) {
	u, ok := accounts.find(name)
	if ok {
		if why := unfit(u); why != "" {
			return u, sidecar.Invalidf(field, "%q cannot be chosen: %s; leave it out, and the proxy gets a user of its own", name, why)
		}
		at := slices.IndexFunc(a.users, func(listed process.User) bool { return listed.UID == u.UID })
		if at >= 0 {
			return a.users[at], nil
		}
	}
	return u, closed(field, name, fmt.Sprintf("users = [%q]", name))
}

// operators finds the user of the plugin's config. What is wrong with it is no fault of
// the job's.
func operators(name string, accounts accounts) (process.User, error) {
	u, ok := accounts.find(name)
	if !ok {
		return u, fmt.Errorf("the user %q of envoy { user = … } in the plugin's config is not one of this machine; make it one", name)
	}
	if why := unfit(u); why != "" {
		return u, fmt.Errorf("the user %q of envoy { user = … } in the plugin's config will not do: %s; set another, or none", name, why)
	}
	return u, nil
}

// madeUp takes Nomad's word for a user. A job could have spelled it, so that it is none
// of the machine's, and one that Nomad could give. (That no other task has it is seen to
// by tasks.aloneAs.)
func (a allow) madeUp(name string, accounts accounts) (process.User, error) {
	id, err := strconv.ParseUint(dynamicUser.FindStringSubmatch(name)[1], 10, 32)
	u := process.User{Name: name, UID: uint32(id), GID: uint32(id), Switch: true}
	if err != nil || !a.dynamic.has(u.UID) || fmt.Sprintf("nomad-%d", id) != name {
		return u, sidecar.Invalidf("user", "%q is none of those that Nomad makes up on this node (nomad-%d to nomad-%d); leave it out, and Nomad makes one up (where users {} of the client's config has other numbers, the operator has to set them as allow { dynamic_user_min = … dynamic_user_max = … }, too)", name, a.dynamic.first, a.dynamic.last)
	}
	if known, ok := accounts(strconv.FormatUint(id, 10)); ok {
		return u, sidecar.Invalidf("user", "%q has the number of the machine's user %q; leave it out, and Nomad makes one up (if Nomad made this one up, users {} of the client's config and the machine's users overlap)", name, known.Name)
	}
	return u, nil
}
