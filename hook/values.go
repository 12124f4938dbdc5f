package hook

import "fmt"

// put adds a value that is not empty.
func put[T any](block map[string]any, key string, value T) {
	switch v := any(value).(type) {
	case string:
		if v == "" {
			return
		}
	case []string:
		if len(v) == 0 {
			return
		}
	case []any:
		if len(v) == 0 {
			return
		}
	case map[string]string:
		if len(v) == 0 {
			return
		}
	}
	block[key] = value
}

// setDefault adds a value that is not there.
func setDefault[V any](m map[string]V, key string, value V) {
	if _, ok := m[key]; !ok {
		m[key] = value
	}
}

type addressError struct{ field, value string }

func (e *addressError) Error() string {
	return fmt.Sprintf("%s = %q is not an IP address; write it as one such as \"127.0.0.1\"", e.field, e.value)
}
