package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// change is what the hook has made of a job, each as JSON. What Nomad's client
// sends can say more than api.Job does, and its keys can be written otherwise.
type change struct {
	before, after     []byte
	namespace, region *string // of both; that of the job as it was sent may be another
}

func newChange(before, after *api.Job) (c change, err error) {
	c.namespace, c.region = after.Namespace, after.Region
	if c.before, err = json.Marshal(before); err != nil {
		return change{}, fmt.Errorf("write the job as JSON: %w", err)
	}
	if c.after, err = json.Marshal(after); err != nil {
		return change{}, fmt.Errorf("write the rewritten job as JSON: %w", err)
	}
	return c, nil
}

func (c change) any() bool { return !bytes.Equal(c.before, c.after) }

// apply makes the change to the job as it was sent. What came of it is read
// again: it must be the job that the hook has made, and nothing less.
func (c change) apply(sent []byte) ([]byte, error) {
	var raw, before, after any
	if err := errors.Join(decode(sent, &raw), decode(c.before, &before), decode(c.after, &after)); err != nil {
		return nil, fmt.Errorf("read the job as JSON: %w", err)
	}
	m := &merger{}
	merged, err := json.Marshal(m.merge("Job", raw, before, after))
	if err != nil {
		return nil, fmt.Errorf("write the rewritten job as JSON: %w", err)
	}
	if len(m.lost) > 0 {
		slices.Sort(m.lost)
		return nil, fmt.Errorf("the rewrite would lose what this program does not know, as a newer Nomad may: %s; remove it, or leave the group in bridge mode",
			strings.Join(slices.Compact(m.lost), ", "))
	}
	return merged, c.holds(merged)
}

// holds checks that the job reads as the hook has made it.
func (c change) holds(merged []byte) error {
	var read *api.Job
	if err := decode(merged, &read); err != nil {
		return fmt.Errorf("read the rewritten job: %w", err)
	}
	read.Namespace, read.Region = c.namespace, c.region
	again, err := json.Marshal(read)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, c.after) {
		return errors.New("the job says one thing twice, in keys that differ in upper and lower case, and cannot be rewritten; write each key once, as Nomad's API has it")
	}
	return nil
}

// merger makes a change to JSON that may say more than what the change is of.
type merger struct {
	lost []string // paths of what was said and is nowhere any more
}

// merge gives raw, of which before is what is known of it, with what differs in
// after.
func (m *merger) merge(path string, raw, before, after any) any {
	if reflect.DeepEqual(before, after) {
		return raw
	}
	switch raw := raw.(type) {
	case map[string]any:
		before, known := before.(map[string]any)
		after, stays := after.(map[string]any)
		if known && stays {
			return m.object(path, raw, before, after)
		}
	case []any:
		before, known := before.([]any)
		after, stays := after.([]any)
		if known && stays && len(raw) == len(before) {
			return m.list(path, raw, before, after)
		}
	}
	m.lose(path, raw, before)
	return after
}

func (m *merger) object(path string, raw, before, after map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range raw {
		name, known := nameIn(before, raw, key)
		now, stays := after[name]
		switch {
		case known && stays:
			out[key] = m.merge(path+"."+name, value, before[name], now)
		case known:
			m.lose(path+"."+name, value, before[name])
		case isEmpty(value) && nameOf(after, key) != "": // it is said now
		default:
			out[key] = value
		}
	}
	said := keysOf(raw, before)
	for name, now := range after {
		was, known := before[name]
		if _, isSaid := said[name]; !isSaid && (!known || !reflect.DeepEqual(was, now)) {
			out[name] = now
		}
	}
	return out
}

func (m *merger) list(path string, raw, before, after []any) []any {
	out := make([]any, len(after))
	from := pair(before, after)
	gone := make([]bool, len(before))
	for i := range gone {
		gone[i] = !slices.Contains(from, i)
	}
	for i, j := range from {
		if j < 0 {
			out[i] = after[i]
			continue
		}
		out[i] = m.merge(entryPath(path, after[i], i), raw[j], before[j], after[i])
	}
	for j, gone := range gone {
		if gone {
			m.lose(entryPath(path, before[j], j), raw[j], before[j])
		}
	}
	return out
}

// lose notes what raw says beyond what is known of it: it goes.
func (m *merger) lose(path string, raw, known any) {
	switch raw := raw.(type) {
	case map[string]any:
		known, _ := known.(map[string]any)
		for key, value := range raw {
			if name, ok := nameIn(known, raw, key); ok {
				m.lose(path+"."+name, value, known[name])
			} else if !isEmpty(value) {
				m.lost = append(m.lost, path+"."+key)
			}
		}
	case []any:
		known, _ := known.([]any)
		for i, value := range raw {
			if i < len(known) {
				m.lose(entryPath(path, known[i], i), value, known[i])
			}
		}
	}
}
