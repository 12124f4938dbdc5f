package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// completeSBOM writes the licences into a CycloneDX document, which must have every module.
func completeSBOM(path string, modules []module) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var bom map[string]any
	if err := json.Unmarshal(content, &bom); err != nil {
		return fmt.Errorf("%s is no CycloneDX document: %w", path, err)
	}
	components, _ := bom["components"].([]any)
	missing := map[string]module{}
	for _, m := range modules {
		missing[m.Path+"@"+m.Version] = m
	}
	for _, c := range components {
		component, ok := c.(map[string]any)
		if !ok {
			continue
		}
		id := fmt.Sprintf("%v@%v", component["name"], component["version"])
		if m, ok := missing[id]; ok {
			component["licenses"] = m.choices()
			delete(missing, id)
		}
	}
	for id := range missing {
		return fmt.Errorf("%s does not have the module %s, which the driver is linked with", path, id)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(bom); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// choices are the licences as CycloneDX has them: one expression.
func (m module) choices() []any {
	kinds := m.kinds()
	if len(kinds) > 1 {
		for i := range kinds {
			kinds[i] = "(" + kinds[i] + ")"
		}
	}
	return []any{map[string]any{"expression": strings.Join(kinds, " AND ")}}
}
