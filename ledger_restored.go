package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/lienthong/lienthong/certs"
	"github.com/lienthong/lienthong/nodes/receipt"
)

// sayRestored says that a ledger goes on under another name, with all of the one before.
func (a *auditor) sayRestored(older, newer receipt.Checkpoint) error {
	if older.Epoch == newer.Epoch {
		return nil
	}
	return a.print(a.say.of(
		"Trục đã được khôi phục từ bản sao lưu: sổ cái %s tiếp tục với tên %s, giữ đủ các mục trên; số thứ tự tiếp tục từ %d",
		"The hub was restored from a backup: the ledger %s goes on as %s, with all of the entries above; sequences go on from %d"),
		older.Origin(), newer.Origin(), newer.Epoch)
}

// restored keeps the checkpoint of a ledger that lacks entries of the one before, and says
// so: it is what the hub declares, but entries are lost all the same.
func (a *auditor) restored(options auditOptions, older, newer signedCheckpoint) error {
	said := fmt.Sprintf(a.say.of("đã ký %d mục; sổ cái mới có %d mục và không có đủ các mục đó", "%d entries were signed; the new ledger has %d, and not all of those"),
		older.said.Size, newer.said.Size)
	evidence, err := keepEvidence(options.from, newer.signed)
	if err != nil {
		said += "; " + err.Error()
	}
	return fmt.Errorf(a.say.of(`TRỤC ĐÃ ĐƯỢC KHÔI PHỤC: %s khai báo sổ cái mới %s từ một bản sao lưu không chứa mọi mục đã ký trong %s: %s
Các gói tin được tiếp nhận sau bản sao lưu đã bị mất; bên gửi có biên nhận cần gửi lại với cùng mã định danh.
Hãy giữ cả hai tệp, đều có chữ ký của trục, làm bằng chứng: %[3]s và %[5]s
Tiếp theo, lấy điểm kiểm tra mới vào một tệp mới để đối chiếu từ nay về sau: lienthong ledger checkpoint --profile %[6]s --out %[7]s`,
		`RESTORED: %s declares a new ledger, %s, from a backup that does not have all that was signed in %s: %s
What was accepted after the backup is lost; senders who hold receipts for it submit it again with the same id.
Keep both files, which the hub has signed, as evidence: %[3]s and %[5]s
Next, take a new checkpoint to a new file, and go on from that one: lienthong ledger checkpoint --profile %[6]s --out %[7]s`),
		a.hub.Address, newer.said.Origin(), options.from, said, evidence, options.profile, freeName(options.from, ".new"))
}

// keepEvidence keeps a checkpoint beside an earlier one that it contradicts, and returns
// where. What was kept before is not overwritten: the same evidence stays where it is, other
// evidence gets a name of its own.
func keepEvidence(from string, signed []byte) (file string, err error) {
	for n := 1; ; n++ {
		file = from + ".fork"
		if n > 1 {
			file = fmt.Sprintf("%s.%d.fork", from, n)
		}
		kept, err := os.ReadFile(file)
		switch {
		case err == nil && bytes.Equal(kept, signed):
			return file, nil
		case errors.Is(err, fs.ErrNotExist):
			return file, certs.WriteFile(file, signed, 0o644)
		case err != nil:
			return file, fmt.Errorf("keep the evidence: %w", err)
		}
	}
}

// freeName returns the name of a file that is not there yet, beside another.
func freeName(beside, suffix string) string {
	name := beside + suffix
	for n := 2; ; n++ {
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s%s%d", beside, suffix, n)
	}
}
