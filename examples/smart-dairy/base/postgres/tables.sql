-- The tables of Smart Dairy with 90 days of collections: 2,500 farmers of 25 centers bring milk twice a day. The figures are
-- made by arithmetic, so that every fill gives the same.
\getenv app_user APP_USERNAME
SET ROLE :"app_user";

CREATE TABLE dairy_farmer (
    id integer PRIMARY KEY,
    code text NOT NULL UNIQUE,
    name text NOT NULL,
    collection_center_id integer NOT NULL,
    joined date NOT NULL,
    active boolean NOT NULL);
INSERT INTO dairy_farmer
SELECT f, 'F' || lpad(f::text, 5, '0'), 'Farmer ' || f, 1 + f % 25, current_date - 400 - f % 900, f % 50 <> 0
FROM generate_series(1, 2500) f;

CREATE TABLE dairy_collection (
    id bigint GENERATED ALWAYS AS IDENTITY,
    farmer_id integer NOT NULL,
    collection_center_id integer NOT NULL,
    date date NOT NULL,
    shift text NOT NULL,
    quantity numeric(8,2) NOT NULL,
    fat numeric(4,2) NOT NULL,
    snf numeric(4,2) NOT NULL,
    amount numeric(10,2) NOT NULL);
INSERT INTO dairy_collection (farmer_id, collection_center_id, date, shift, quantity, fat, snf, amount)
SELECT f, 1 + f % 25, current_date - d, shift, q, fat, snf, round(q * (fat * 5.5 + snf * 2.1), 2)
FROM generate_series(89, 0, -1) d, unnest(ARRAY['morning', 'evening']) shift, generate_series(1, 2500) f,
    LATERAL (SELECT 4 + (f * 31 + d * 17 + length(shift)) % 160 / 10.0 AS q,
        3.2 + (f * 7 + d * 3) % 28 / 10.0 AS fat, 8.0 + (f * 11 + d * 5) % 12 / 10.0 AS snf) milk;
ALTER TABLE dairy_collection
    ADD PRIMARY KEY (id),
    ADD FOREIGN KEY (farmer_id) REFERENCES dairy_farmer;
-- For a report on quality that nobody opens any more: it costs every insert, and nothing reads it.
CREATE INDEX idx_dairy_collection_quality ON dairy_collection (fat, snf, quantity);

CREATE TABLE dairy_payment (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    farmer_id integer NOT NULL,
    period_start date NOT NULL,
    period_end date NOT NULL,
    quantity numeric(10,2) NOT NULL,
    amount numeric(12,2) NOT NULL,
    state text NOT NULL);
INSERT INTO dairy_payment (farmer_id, period_start, period_end, quantity, amount, state)
SELECT f, current_date - p * 15, current_date - p * 15 + 14, 300 + (f + p) % 90, (300 + (f + p) % 90) * 42.5,
    CASE WHEN p < 2 THEN 'draft' ELSE 'paid' END
FROM generate_series(24, 1, -1) p, generate_series(1, 2500) f;

CREATE TABLE account_move (
    id integer PRIMARY KEY,
    name text NOT NULL,
    partner_id integer NOT NULL,
    date date NOT NULL,
    state text NOT NULL,
    amount_total numeric(12,2) NOT NULL);
INSERT INTO account_move
SELECT m, 'INV/' || lpad(m::text, 7, '0'), 1 + m * 7919 % 2500, current_date - (m * 31) % 365, 'posted', 90 + m % 400
FROM generate_series(1, 20000) m;
CREATE INDEX account_move_partner_id_index ON account_move (partner_id);

CREATE TABLE account_move_line (
    id integer PRIMARY KEY,
    move_id integer NOT NULL,
    product_id integer NOT NULL,
    name text NOT NULL,
    quantity numeric(8,2) NOT NULL,
    price_unit numeric(8,2) NOT NULL);
INSERT INTO account_move_line
SELECT l, 1 + (l - 1) / 3, 1 + l % 40, 'Product ' || (1 + l % 40), 1 + l % 5, 20 + l % 40
FROM generate_series(1, 60000) l;
CREATE INDEX account_move_line_move_id_index ON account_move_line (move_id);

-- With the marks that a scan of an index alone needs.
VACUUM (ANALYZE) dairy_farmer, dairy_collection, dairy_payment, account_move, account_move_line;
