package fake

import (
	"cmp"
	"net/http"
	"strings"
)

// faults are what is wrong with an agent. Consul's mutex guards them.
type faults struct {
	part    string // requests whose "METHOD path" contains this are refused; empty for none
	status  int
	refused int
	hanging chan struct{} // requests wait until it is closed; nil for an agent that answers
}

// Fail refuses requests whose "METHOD path" contains part with a status (0 is 500),
// blocking queries that wait among them, until Heal.
func (c *Consul) Fail(part string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.part, c.faults.status, c.faults.refused = part, cmp.Or(status, http.StatusInternalServerError), 0
	for _, t := range []*table{c.serviceTable, c.checkTable, c.configTable} {
		t.wake()
	}
}

// Heal ends what Fail began.
func (c *Consul) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.part = ""
}

// Refusals counts the requests that were refused since Fail.
func (c *Consul) Refusals() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults.refused
}

// Hang lets requests wait for their answers until Resume, or until their client has
// gone.
func (c *Consul) Hang() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults.hanging == nil {
		c.faults.hanging = make(chan struct{})
	}
}

// Resume ends what Hang began.
func (c *Consul) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults.hanging != nil {
		close(c.faults.hanging)
		c.faults.hanging = nil
	}
}

func (c *Consul) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.outOfOrder(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

// outOfOrder waits while the agent hangs, and tells whether it has refused the
// request, or nobody is there any more who made it.
func (c *Consul) outOfOrder(w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	hanging := c.faults.hanging
	c.mu.Unlock()
	if hanging != nil {
		select {
		case <-hanging:
		case <-r.Context().Done():
			return true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults.part == "" || !strings.Contains(r.Method+" "+r.URL.Path, c.faults.part) {
		return false
	}
	c.faults.refused++
	http.Error(w, "out of order", c.faults.status)
	return true
}
