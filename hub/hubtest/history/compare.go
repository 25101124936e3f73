package history

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// asking is how many questions the hub is asked at one time.
const asking = 16

// compare asks the hub for everything there is a receipt for, and for what may not
// be there.
func (c *check) compare(ctx context.Context, hub Hub) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(asking)
	var mu sync.Mutex
	found := map[uint64]string{}
	all := sorted(c.bySequence)
	for _, sequence := range all {
		s := c.bySequence[sequence]
		group.Go(func() error {
			wrong, err := s.served(groupCtx, hub)
			if err != nil || wrong == "" {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			found[sequence] = wrong
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("history: ask the hub: %w", err)
	}
	for _, sequence := range all {
		if wrong, ok := found[sequence]; ok {
			c.broken(Durable, "%s", wrong)
		}
	}
	return c.beyond(ctx, hub, all)
}

// served says what is wrong with what the hub serves of a submission.
func (s *submission) served(ctx context.Context, hub Hub) (wrong string, err error) {
	sequence := s.statement.GetSequence()
	what := fmt.Sprintf("%s of %s, accepted as %d,", s.key.id, s.key.sender, sequence)
	p, ok, err := hub.Packet(ctx, s.key.sender, sequence)
	if err != nil {
		return "", fmt.Errorf("packet %d: %w", sequence, err)
	}
	if !ok {
		return what + " is not served", nil
	}
	content := sha256.Sum256(p.GetEnvelope().GetContent())
	if content != digest(s.statement.GetContentSha256()) || string(p.GetContentSha256()) != string(content[:]) {
		return what + " is served with other content", nil
	}
	if p.GetSequence() != sequence || p.GetSender() != s.key.sender || p.GetEnvelope().GetId() != s.key.id || p.GetSubject() != s.statement.GetSubject() {
		return fmt.Sprintf("%s is served as %d, which is %s of %s, subject %s", what,
			p.GetSequence(), p.GetEnvelope().GetId(), p.GetSender(), p.GetSubject()), nil
	}
	r, ok, err := hub.Receipt(ctx, s.key.sender, sequence)
	if err != nil {
		return "", fmt.Errorf("receipt %d: %w", sequence, err)
	}
	if !ok || !sameWord(r, s.receipt) {
		return what + " has another receipt now than the one that was given", nil
	}
	return "", nil
}

// beyond asks every node for what follows the last receipt.
func (c *check) beyond(ctx context.Context, hub Hub, all []uint64) error {
	if len(all) == 0 {
		return nil
	}
	next := all[len(all)-1] + 1
	asked := map[string]bool{}
	for _, s := range c.order {
		for _, node := range append(recipientsIn(s.statement), s.key.sender) {
			if asked[node] {
				continue
			}
			asked[node] = true
			_, there, err := hub.Packet(ctx, node, next)
			if err != nil {
				return fmt.Errorf("history: packet %d as %s: %w", next, node, err)
			}
			if there {
				c.broken(Once, "the hub serves %d to %s; nobody has a receipt for it", next, node)
			}
		}
	}
	return nil
}
