package envoy

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
)

// namedFiles are the paths that a configuration of Envoy names: what it reads, and what it
// makes, or appends to. Of what it reads, lists name others: lds.yaml is one.
type namedFiles struct{ read, write, lists []string }

func (f namedFiles) with(others namedFiles) namedFiles {
	return namedFiles{
		read:  slices.Concat(f.read, others.read),
		write: slices.Concat(f.write, others.write),
		lists: slices.Concat(f.lists, others.lists),
	}
}

// from has relative paths begin in a directory, the one that Envoy works in. They may lead
// out of it: sockets in the allocation are named so, as whole paths are too long for them.
func (f namedFiles) from(dir string) namedFiles {
	absolute := func(files []string) []string {
		out := slices.Clone(files)
		for i, file := range out {
			if file != "" && !filepath.IsAbs(file) {
				out[i] = filepath.Join(dir, file)
			}
		}
		return out
	}
	return namedFiles{read: absolute(f.read), write: absolute(f.write), lists: absolute(f.lists)}
}

// bootstrapFiles are those of a bootstrap in JSON.
func bootstrapFiles(content []byte) namedFiles {
	var parsed any
	_ = json.Unmarshal(content, &parsed) // Envoy will say what is wrong
	return filesIn(parsed)
}

// filesIn goes through JSON, and JSON within its strings, as an escape hatch is. Envoy's
// many messages call their files by few names; one by another name is not granted, and
// Envoy says that it may not open it.
func filesIn(value any) namedFiles {
	var search fileSearch
	search.walk(value)
	return search.found
}

type fileSearch struct {
	above []string // keys on the way, each as in a .proto
	found namedFiles
}

func (s *fileSearch) walk(value any) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			s.walk(element)
		}
	case map[string]any:
		_, typed := v["@type"]
		for key, member := range v {
			s.above = append(s.above, snakeCase(key))
			if path, ok := member.(string); ok {
				s.consider(path, typed)
			} else {
				s.walk(member)
			}
			s.above = s.above[:len(s.above)-1]
		}
	}
}

// consider looks at a string.
func (s *fileSearch) consider(text string, typed bool) {
	var within any
	if strings.HasPrefix(strings.TrimSpace(text), "{") && json.Unmarshal([]byte(text), &within) == nil {
		s.walk(within)
		return
	}
	switch s.key(0) {
	case "filename", "symlink_root":
		s.found.read = append(s.found.read, text)
	case "access_log_path", "path_prefix":
		s.found.write = append(s.found.write, text)
	case "path":
		switch holder := s.key(1); {
		case holder == "watched_directory":
			s.found.read = append(s.found.read, text)
		case holder == "pipe" && !s.isBelow("load_assignment", "endpoint"), typed: // others' sockets are not made
			s.found.write = append(s.found.write, text)
		case strings.HasSuffix(holder, "_config") || strings.HasSuffix(holder, "config_source"): // lds_config and its like
			s.found.read, s.found.lists = append(s.found.read, text), append(s.found.lists, text)
		}
	}
}

// key is the nth on the way, from here.
func (s *fileSearch) key(n int) string {
	if n >= len(s.above) {
		return ""
	}
	return s.above[len(s.above)-1-n]
}

func (s *fileSearch) isBelow(keys ...string) bool {
	return slices.ContainsFunc(s.above, func(key string) bool { return slices.Contains(keys, key) })
}

// snakeCase is how a .proto spells a key of JSON: "accessLogPath" is access_log_path, and
// so is "AccessLogPath", as Consul's own configuration has it.
func snakeCase(key string) string {
	var snake strings.Builder
	for _, r := range key {
		if r >= 'A' && r <= 'Z' {
			snake.WriteByte('_')
			r += 'a' - 'A'
		}
		snake.WriteRune(r)
	}
	return strings.TrimPrefix(snake.String(), "_")
}
