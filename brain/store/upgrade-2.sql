-- From version 2 to 3: whether something refers to a message is known without a walk.
CREATE INDEX proposals_delivery ON proposals (delivery) WHERE delivery IS NOT NULL;
CREATE INDEX items_delivery ON items (delivery) WHERE delivery IS NOT NULL;
