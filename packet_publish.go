package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// stage writes content beside where it is to be, for its owner only, and returns the
// name it has until publish gives it its own. It is on the disk when stage returns.
func (c *conversion) stage(path string, content []byte) (staged string, err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, ".lienthong-*")
	if err != nil {
		return "", err
	}
	c.staged.Store(f.Name(), true)
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, c.discard(f.Name()))
	}
	return f.Name(), nil
}

// publish gives the conversion of an outcome its name, when its turn has come.
// Without force it never replaces a file, whoever else writes there.
func (c *conversion) publish(o *outcome) {
	if o.staged == "" {
		return
	}
	output := c.output(o.input)
	err := c.name(o.staged, output)
	_ = c.discard(o.staged) // what cannot be removed yet, clear tries again
	switch {
	case err == nil:
		o.output = output
	case errors.Is(err, fs.ErrExist) && c.skipExisting: // another run was faster
		o.result, o.output, o.findings = skipped, output, nil
	default:
		c.cannotWrite(o, err)
	}
}

// name gives a finished file its name; it may keep the one it had, too.
func (c *conversion) name(staged, path string) error {
	if c.force {
		return os.Rename(staged, path)
	}
	err := os.Link(staged, path) // unlike a renaming, fails where there is a file
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return nameWithoutLinks(staged, path)
}

// nameWithoutLinks names a file where the file system has no links: it takes the
// name, which fails where there is a file, and replaces what it put there.
func nameWithoutLinks(staged, path string) error {
	taken, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = errors.Join(taken.Close(), os.Rename(staged, path)); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// discard removes a file from where it was staged, if it is still there.
func (c *conversion) discard(staged string) error {
	if err := os.Remove(staged); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c.staged.Delete(staged)
	return nil
}

// clear removes what is still staged: files whose turn did not come.
func (c *conversion) clear() error {
	var errs []error
	c.staged.Range(func(staged, _ any) bool {
		errs = append(errs, c.discard(staged.(string)))
		return true
	})
	return errors.Join(errs...)
}

// cannotWrite makes an outcome one whose conversion could not be kept.
func (c *conversion) cannotWrite(o *outcome, err error) {
	output := c.output(o.input)
	vi, en := reason(err)
	o.fail(unwritten, problem(ruleUnwritten, "không ghi được "+output+": "+vi, "cannot write "+output+": "+en))
}
