package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// writeWhole replaces a file: whoever reads it sees the old or the new one, never
// a part. What is no file, such as a pipe, is written to.
func writeWhole(path string, content []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("write the job: %w", err)
		}
		return nil
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the link stays
	}
	if err := replace(path, content); err != nil {
		return fmt.Errorf("write the job to %s: %w", path, err)
	}
	return nil
}

func replace(path string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(content)
	if err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
