// Package nodes is the SDK of a node: it joins a hub, submits packets, receives
// deliveries, asks questions of databases and answers them.
//
// What it guarantees, over a network that cuts connections and a hub that is
// restarted:
//
//   - Submitting is idempotent. An envelope has an id (a UUIDv7 where the caller
//     gives none); sent any number of times, it is accepted once and its receipt is
//     the same. That is why Submit and Submitter may repeat what got no answer.
//   - Accepted means proven. A receipt is verified offline against the hub's ledger
//     key, and compared with what was submitted, before it is handed out.
//   - Order. A Submitter sends in the order of its Send calls and, after a cut, sends
//     again what has no result, in that order, before anything newer. Receive hands
//     out the packets of one sender and subject in the order they were accepted.
//   - At least once, and once per process. The hub delivers again until a delivery
//     is acknowledged, and Receive acknowledges when the handler has returned nil.
//     Within the life of a Client its handler gets a delivery once. After a crash
//     between the two, the next process gets it again: a handler's own store should
//     know the sequence, or see ReceiveOptions.Seen.
//   - What a handler cannot handle stops nothing else: it returns a *Rejection, and the
//     hub delivers again later, what follows of that sender and subject not before.
//   - Large packets travel in pieces. SubmitLarge uploads from a file, Open downloads,
//     and both go on after a cut where they were; neither holds the whole in memory.
//   - What is refused is an answer: a *Refused with code, reason, texts in
//     Vietnamese and English, and every violation of a packet.
//   - A hub that does not let the node in (its certificate, or its suspension by an
//     administrator) is not asked again and again: Receive, Serve and Submitter end.
//     For everything else they connect anew, with exponential backoff and full
//     jitter.
//
// The private key is made by Join, in the profile directory, and never leaves it.
package nodes
