package media

import "slices"

// Role is what a principal may do in general. What it may do with one asset is decided in the use-cases.
type Role string

// The roles.
const (
	Admin      Role = "admin"      // everything
	Instructor Role = "instructor" // upload, and manage their own
	Student    Role = "student"    // read what they may
)

// Principal is who asks. The zero Principal is anonymous.
type Principal struct {
	Subject string
	Roles   []Role
	Grant   *UploadGrant // set when an upload grant, and nothing else, opened the door
}

// Has reports whether the principal has a role.
func (p Principal) Has(r Role) bool { return slices.Contains(p.Roles, r) }

// Anonymous reports whether nobody is known to ask.
func (p Principal) Anonymous() bool { return p.Subject == "" }

// Staff reports whether the principal may upload and manage.
func (p Principal) Staff() bool { return p.Has(Admin) || p.Has(Instructor) }

// Manages reports whether the principal may read and change what owner owns: admins all, instructors their own.
func (p Principal) Manages(owner string) bool {
	return p.Has(Admin) || p.Has(Instructor) && p.Subject != "" && p.Subject == owner
}

// UploadGrant allows one upload to somebody without a login: minted by staff, used once, and no wider than it says.
type UploadGrant struct {
	ID        string     // unique; remembered once used
	Owner     string     // who will own the upload: the minter
	MaxSize   int64      // bytes; 0: the gateway's own limit
	MIMETypes []string   // allowed types, "video/*" matches all video; empty: the gateway's own
	Placement *Placement // where it must belong; nil: the client says
	Backend   string     // "": the default
}
