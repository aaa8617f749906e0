# What a control socket answers, as lines "path value": "servers.0.state up".  A
# value is yes, no or none where it is true, false or null, and of an array it is
# the number of its elements.
use strict;
use warnings;
use JSON::PP;

sub flatten {
	my ($path, $value) = @_;
	my $before = length $path ? "$path." : '';
	if (ref $value eq 'HASH') {
		flatten("$before$_", $value->{$_}) for sort keys %$value;
		return;
	}
	my $said = !defined $value ? 'none'
		: JSON::PP::is_bool($value) ? ($value ? 'yes' : 'no')
		: ref $value eq 'ARRAY' ? scalar @$value
		: $value;
	print "$path $said\n";
	return if ref $value ne 'ARRAY';
	flatten("$before$_", $value->[$_]) for 0 .. $#$value;
}

binmode STDOUT, ':utf8';
local $/;
my $text = <STDIN>;
exit 1 if !defined $text || $text eq '';
flatten('', decode_json($text));
