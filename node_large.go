package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes"
)

// putLarge puts the content of a large packet where it was asked for, as it comes and
// as its sender wrote it. A file is there once all of it is, and compared with its
// SHA-256.
func putLarge(ctx context.Context, cmd *cobra.Command, client *nodes.Client, dir string, d *exchangev1.Delivery) (err error) {
	p := d.GetPacket()
	sayReceived(cmd, p)
	content := client.Open(ctx, p)
	defer func() { err = errors.Join(err, content.Close()) }()
	if dir == "" {
		if _, err := io.Copy(cmd.OutOrStdout(), content); err != nil {
			return fmt.Errorf("write packet %d: %w", p.GetSequence(), err)
		}
		return nil
	}
	if err := certs.WriteFileFrom(packetFile(dir, p, p.GetEnvelope().GetFormat()), content, 0o600); err != nil {
		return fmt.Errorf("packet %d: %w", p.GetSequence(), err)
	}
	return nil
}
