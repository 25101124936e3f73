package main

import (
	"fmt"
	"time"

	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/store"
)

// toldEpoch is an epoch as --output json tells it.
type toldEpoch struct {
	Last   uint64     `json:"last"`
	Next   uint64     `json:"next"`
	At     time.Time  `json:"at"`
	Copied *time.Time `json:"copied,omitempty"`
}

func epochsOf(checked hub.Checked) []toldEpoch {
	told := make([]toldEpoch, len(checked.Epochs))
	for i, e := range checked.Epochs {
		told[i] = toldEpoch{Last: e.Last, Next: e.Next, At: e.At}
		if !e.Copied.IsZero() {
			told[i].Copied = &e.Copied
		}
	}
	return told
}

// epoch says where the hub went on from a copy.
func (f *fsck) epoch(e store.Epoch) string {
	if e.Copied.IsZero() {
		return fmt.Sprintf(f.say.of(
			"%s: trục tiếp tục từ một bản sao: sau số thứ tự %d là %d",
			"%s: the hub went on from a copy: after sequence %d comes %d"), moment(e.At), e.Last, e.Next)
	}
	return fmt.Sprintf(f.say.of(
		"%s: trục được khôi phục từ bản sao lưu lúc %s: sau số thứ tự %d là %d",
		"%s: the hub was restored from a backup of %s: after sequence %d comes %d"), moment(e.At), moment(e.Copied), e.Last, e.Next)
}
