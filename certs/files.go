package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// ErrKeyPermissions means that others than the owner may read a private key, so
// it may no longer be private.
var ErrKeyPermissions = errors.New("private key is open to others")

// ErrFile means that a file does not hold what it should.
var ErrFile = errors.New("file is not as expected")

// WriteFile replaces a file: afterwards it holds all of data, on stable storage;
// after a crash it holds the old content or the new.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return WriteFileFrom(path, bytes.NewReader(data), perm)
}

// WriteFileFrom is WriteFile with all that can be read from data; where reading fails,
// the file stays as it was.
func WriteFileFrom(path string, data io.Reader, perm fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = io.Copy(temporary, data)
	err = errors.Join(err, temporary.Chmod(perm), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temporary.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory survive a power loss.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // directories cannot be opened for that there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

func writeKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func readKey(path string) (crypto.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	// Windows keeps access rights elsewhere; its mode bits say nothing.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w: %s has mode %04o; 0600 is required. If nobody can have copied it: chmod 600 %s", ErrKeyPermissions, path, mode, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%w: %s holds no PEM block PRIVATE KEY", ErrFile, path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFile, path, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %s holds a key that cannot sign", ErrFile, path)
	}
	return key, nil
}

func writeCertificates(path string, certificates []*x509.Certificate) error {
	var content []byte
	for _, c := range certificates {
		content = append(content, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return WriteFile(path, content, 0o644)
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%w: %s holds a PEM block %.40q; only CERTIFICATE is expected", ErrFile, path, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrFile, path, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s holds no certificate", ErrFile, path)
	}
	return all, nil
}

// samePublicKey reports whether a certificate is for a key.
func samePublicKey(c *x509.Certificate, key crypto.Signer) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}
