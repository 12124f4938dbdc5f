package files

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// A file that is written anew, or replaced by another, is not what it was.
func TestStampOf(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	must.Eq(t, Stamp{}, StampOf(""))
	must.Eq(t, Stamp{}, StampOf(path))
	must.NoError(t, os.WriteFile(path, []byte("a"), 0o600))
	first := StampOf(path)
	must.NotEq(t, Stamp{}, first)
	must.Eq(t, first, StampOf(path))
	must.NoError(t, os.WriteFile(path, []byte("ab"), 0o600))
	second := StampOf(path)
	must.NotEq(t, first, second)
	must.NoError(t, os.WriteFile(path+".new", []byte("ab"), 0o600))
	must.NoError(t, os.Rename(path+".new", path))
	must.NotEq(t, second, StampOf(path))
}
