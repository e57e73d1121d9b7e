package uploads

import (
	"context"
	"time"

	"sluice/media"
)

// placer is who puts an upload where it belongs. Whoever minted a grant with a place was asked then: what is left to be asked is whether
// that place still exists. A grant without one lets its holder do what its minter may as an instructor.
func placer(a *media.Asset, p media.Principal) media.Principal {
	switch {
	case p.Grant == nil:
		return p
	case p.Grant.Placement != nil:
		return media.Principal{Subject: a.Owner, Roles: []media.Role{media.Admin}}
	}
	return media.Principal{Subject: a.Owner, Roles: []media.Role{media.Instructor}}
}

// admitPlace refuses an upload where p may not put it. One that cannot be judged now goes on: it belongs nowhere until it can.
func (s *Service) admitPlace(ctx context.Context, a *media.Asset, p media.Principal) error {
	ctx, cancel := context.WithTimeout(ctx, ledgerPatience)
	defer cancel()
	who := placer(a, p)
	checked, err := s.o.Rights.MayPlace(ctx, who, a.Placement)
	if err != nil {
		return err
	}
	a.Vouched = who.Has(media.Admin)
	if a.Unchecked = !checked && !a.Upload.Partial; a.Unchecked { // a part belongs nowhere anyway
		s.o.Logger.WarnContext(ctx, "place not checked", "asset", a.ID.String())
	}
	return nil
}

// mayFix refuses a place that a grant shall name: one that no upload could name by its metadata, and one where p may put nothing. Nobody
// asks again whose it is, so what cannot be known now is refused too, but to admins: for them it makes no difference.
func (s *Service) mayFix(ctx context.Context, p media.Principal, pl media.Placement) error {
	if err := checkPlace(pl); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ledgerPatience)
	defer cancel()
	checked, err := s.o.Rights.MayPlace(ctx, p, pl)
	if err == nil && !checked && !p.Has(media.Admin) {
		err = &media.Error{
			Kind: media.Unavailable, Code: "place_unknown", Detail: "whether this place is yours cannot be looked up now", RetryAfter: time.Second,
		}
	}
	return err
}

// placeAgain asks at the finish whether an upload may still stand where its creation put it: days may lie between. If not, nothing of it is
// lost: it becomes media of its owner that belongs nowhere. What cannot be known now is as it was then.
func (s *Service) placeAgain(ctx context.Context, row *media.Asset) error {
	if row.Unchecked || row.Upload.Partial {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, knownPatience) // a client waits, and the answer was known once
	defer cancel()
	_, refused := s.o.Rights.MayPlace(short, row.Placer(), row.Placement)
	if refused == nil {
		return nil
	}
	if s.o.Unplace == nil {
		s.o.Logger.WarnContext(ctx, "a finished upload stands where it may no longer", "asset", row.ID.String(), "error", refused)
		return nil
	}
	if err := s.o.Unplace(ctx, row.ID); err != nil {
		return err
	}
	s.o.Logger.WarnContext(ctx, "a finished upload belongs nowhere: its place is gone, or is not its owner's", "asset", row.ID.String(), "error", refused)
	return nil
}
