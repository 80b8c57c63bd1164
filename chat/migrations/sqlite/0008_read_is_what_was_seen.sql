-- Until now whoever had written had read all that came before. From now on only their own words are read without being
-- seen, so what counted as read by then is noted once.
update session_users as own set read_seq = coalesce(
    (select m.seq from messages m join sessions s on s.session_id = m.session_id
     where m.session_id = own.session_id and m.seq > max(own.read_seq, s.last_seq - 1000) and m.sender_id = own.user_id
     order by m.seq desc limit 1), own.read_seq);
