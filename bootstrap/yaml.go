package bootstrap

import (
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

const (
	// maxYAML is more than any bootstrap has. Each of its nodes takes a hundred bytes and
	// more while it is read.
	maxYAML = 1 << 20

	// maxExpanded bounds what a bootstrap is when each alias has become a copy.
	maxExpanded = 16 << 20

	// nodeCost is what a node takes besides its text.
	nodeCost = 16
)

// errNoYAML quotes nothing of what was read.
var errNoYAML = errors.New("it is neither JSON nor YAML")

// yamlAsJSON refuses what is small and would be large: one long text, and aliases of it by
// the thousand.
func yamlAsJSON(text []byte) ([]byte, error) {
	if len(text) > maxYAML {
		return nil, fmt.Errorf("it is YAML of %d bytes, and at most %d are read; write it as JSON", len(text), maxYAML)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, errNoYAML
	}
	if expanded(&document, map[*yaml.Node]int{}) > maxExpanded {
		return nil, fmt.Errorf("it would be more than %d MiB with a copy in the place of each of its YAML aliases; use fewer of them, or write it as JSON", maxExpanded>>20)
	}
	var content any
	if err := document.Decode(&content); err != nil {
		return nil, errNoYAML
	}
	inJSON, err := json.Marshal(content)
	if err != nil {
		return nil, errNoYAML // a key that is no text, or a number that JSON does not have
	}
	return inJSON, nil
}

// expanded is the size of a node with copies in the place of aliases, as far as it
// matters. Known has those of the nodes that have been looked at; a node within itself
// has no end.
func expanded(node *yaml.Node, known map[*yaml.Node]int) int {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if size, ok := known[node]; ok {
		return size
	}
	known[node] = maxExpanded + 1
	size := nodeCost + len(node.Value)
	for _, child := range node.Content {
		size = min(size+expanded(child, known), maxExpanded+1)
	}
	known[node] = size
	return size
}
