package main

import (
	"errors"
	"fmt"

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
func (a *auditor) restored(options auditOptions, newer signedCheckpoint, why error) error {
	evidence := options.from + ".fork"
	if err := certs.WriteFile(evidence, newer.signed, 0o644); err != nil {
		why = errors.Join(why, err)
	}
	return fmt.Errorf(a.say.of(`TRỤC ĐÃ ĐƯỢC KHÔI PHỤC: %s khai báo sổ cái mới %s từ một bản sao lưu không chứa mọi mục đã ký trong %s: %w
Các gói tin được tiếp nhận sau bản sao lưu đã bị mất; bên gửi có biên nhận cần gửi lại với cùng mã định danh.
Hãy giữ cả hai tệp, đều có chữ ký của trục, làm bằng chứng: %[3]s và %[5]s`,
		`RESTORED: %s declares a new ledger, %s, from a backup that does not have all that was signed in %s: %w
What was accepted after the backup is lost; senders who hold receipts for it submit it again with the same id.
Keep both files, which the hub has signed, as evidence: %[3]s and %[5]s`), a.hub.Address, newer.said.Origin(), options.from, why, evidence)
}
