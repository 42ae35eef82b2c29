# Custom fields as docs/crm.md asks for them, and people to find. Loaded by rt-setup-database.
@Queues = ({ Name => 'Billing', Description => 'Charges' });
@CustomFields = (
    (map { { Name => $_, Type => 'FreeformSingle', LookupType => 'RT::Queue-RT::Ticket', Queue => 0, ApplyTo => [0] } }
        'Baton Call', 'Disposition', 'Order Number'),
    { Name => 'Phone', Type => 'FreeformMultiple', LookupType => 'RT::User', ApplyTo => [0] },
);
my $n = 0;
sub person {
    my ($name, $real, @phones) = @_;
    return { Name => $name, RealName => $real, EmailAddress => "$name\@example.com", Privileged => 0,
             CustomFields => [map { { CustomField => 'Phone', Content => $_ } } @phones] };
}
@Users = (
    person('maria', 'Maria Gomez', '+15551230001', '+15551230099'),
    person('laura', 'Laura Bennett', '+15551230011'),
    person('mark', 'Mark Bennett', '+15551230011'),
    # So many that a search for all of them has several pages.
    (map { person("crowd$_", "Crowd $_", '+15551230077') } 1 .. 23),
);
@Tickets = ();
1;
